use crate::random::Random;

/// Bytes beyond which an input grows no further, or beyond twice its beginnings.
const LARGE: usize = 1 << 16;

/// Numbers at which parsers trip, as text.
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "1",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "-2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "1e999",
    "-0.0",
    "NaN",
    "inf",
    "0x7f",
    "",
];

/// Strings that can occur in any text format.
const WORDS: &[&str] = &[
    "\u{feff}",
    "\r\n",
    "\n\n",
    "\"",
    "\"\"",
    "'",
    ",",
    ";",
    "\t",
    "\0",
    "\\",
    "\\u0000",
    "\\ud800",
    "[",
    "]",
    "{",
    "}",
    "[[[[[[[[",
    "null",
    "true",
    "<",
    ">",
    "&amp;",
    "&#0;",
    "..",
    "../",
    "/",
    ":",
    " ",
    "\u{a0}",
    "\u{2028}",
    "İ",
    "ß",
    "ﬁ",
    "e\u{301}",
    "👩‍⚕️",
    "_____",
];

/// Alters inputs of one format.
#[derive(Debug)]
pub struct Alter<'a> {
    /// Inputs that others are spliced with.
    pub seeds: &'a [Vec<u8>],
    /// Words of the format.
    pub words: &'a [&'a str],
}

impl Alter<'_> {
    /// One of the seeds, changed one to eight times.
    pub fn next(&self, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.seeds[random.below(self.seeds.len())].clone();
        let limit = (2 * bytes.len()).max(LARGE);
        for _ in 0..1 << random.below(4) {
            self.change(&mut bytes, random);
            bytes.truncate(limit);
        }
        bytes
    }

    fn change(&self, bytes: &mut Vec<u8>, random: &mut Random) {
        let (start, end) = stretch(bytes, random);
        match random.below(15) {
            0 => bytes.truncate(start),
            1 | 2 => {
                if let Some(byte) = bytes.get_mut(start) {
                    *byte ^= 1 << random.below(8);
                }
            }
            3 => {
                if let Some(byte) = bytes.get_mut(start) {
                    *byte = random.next_u64() as u8;
                }
            }
            4 => bytes[start..end].fill([0, b' ', 0x7F, 0x80, 0xFF][random.below(5)]),
            5 => drop(bytes.drain(start..end)),
            6 => {
                let times = 1 << random.below(8);
                let copies = bytes[start..end].repeat(times);
                bytes.splice(end..end, copies);
            }
            7 => {
                let chunk = bytes[start..end].to_vec();
                let at = random.below(bytes.len() + 1);
                bytes.splice(at..at, chunk);
            }
            8 => self.splice(bytes, random),
            9 => overwrite_integer(bytes, start, random),
            10 | 11 => replace_number(bytes, start, random),
            12 => {
                let word = random.pick(WORDS);
                bytes.splice(start..start, word.bytes());
            }
            _ if self.words.is_empty() => bytes.reverse(),
            13 => {
                let word = random.pick(self.words);
                bytes.splice(start..start, word.bytes());
            }
            _ => {
                let word = random.pick(self.words);
                bytes.splice(start..end, word.bytes());
            }
        }
    }

    /// Replaces the end of this input by the end of another seed.
    fn splice(&self, bytes: &mut Vec<u8>, random: &mut Random) {
        let other = &self.seeds[random.below(self.seeds.len())];
        let (kept, from) = (random.below(bytes.len() + 1), random.below(other.len() + 1));
        bytes.truncate(kept);
        bytes.extend_from_slice(&other[from..]);
    }
}

/// A short range, often near the beginning or the end, where formats keep their lengths.
fn stretch(bytes: &[u8], random: &mut Random) -> (usize, usize) {
    let window = bytes.len().min(1 << 10);
    let start = match random.below(4) {
        0 => random.below(window + 1),
        1 => bytes.len() - random.below(window + 1),
        _ => random.below(bytes.len() + 1),
    };
    let longest = 1 << random.below(10);
    let end = (start + 1 + random.below(longest)).min(bytes.len());
    (start, end)
}

/// Overwrites an integer field, in either byte order, with an edge-case value.
fn overwrite_integer(bytes: &mut [u8], start: usize, random: &mut Random) {
    let width = [1, 2, 4, 8][random.below(4)];
    let Some(field) = bytes.get_mut(start..start + width) else {
        return;
    };
    let all = u64::MAX >> (64 - 8 * width);
    let value = match random.below(6) {
        0 => 0,
        1 => 1,
        2 => all,
        3 => all >> 1,
        4 => (all >> 1) + 1,
        _ => 1 << random.below(8 * width),
    };
    match random.below(2) {
        0 => field.copy_from_slice(&value.to_le_bytes()[..width]),
        _ => field.copy_from_slice(&value.to_be_bytes()[8 - width..]),
    }
}

/// Replaces the next decimal number by another.
fn replace_number(bytes: &mut Vec<u8>, start: usize, random: &mut Random) {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let Some(first) = bytes[start..].iter().position(is_digit) else {
        return;
    };
    let first = start + first;
    let digits = bytes[first..]
        .iter()
        .take_while(|byte| is_digit(byte))
        .count();
    let number = random.pick(NUMBERS);
    bytes.splice(first..first + digits, number.bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alterations_are_the_same_everywhere_and_bounded() {
        let seeds = [b"id,report\n1,clear\n".to_vec(), Vec::new(), vec![7; 300]];
        let alter = Alter {
            seeds: &seeds,
            words: &["effusion"],
        };
        let draw = |name: &str| -> Vec<Vec<u8>> {
            let mut random = Random::named(name);
            (0..2000).map(|_| alter.next(&mut random)).collect()
        };
        let inputs = draw("a");
        assert_eq!(inputs, draw("a"));
        assert_ne!(inputs, draw("b"));
        assert!(inputs.iter().all(|input| input.len() <= LARGE));
        let has = |word: &str| {
            inputs
                .iter()
                .any(|it| it.windows(word.len()).any(|w| w == word.as_bytes()))
        };
        assert!(has("effusion") && has("18446744073709551616"));
    }
}
