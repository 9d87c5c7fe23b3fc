/// Most bytes that decoding one film may take.
const MAX_BYTES: u64 = 1 << 30;

/// Upper bounds of what a decoder allocates per pixel, precinct, code-block and layer of a code-block.
const BYTES_PER_PIXEL: u64 = 16;
const BYTES_PER_PRECINCT: u64 = 192;
const BYTES_PER_BLOCK: u64 = 96;
const BYTES_PER_LAYER: u64 = 32;

/// Most tiles that the format can number.
const MAX_TILES: u64 = 65_535;

const START: u16 = 0xFF4F;
const SIZE: u16 = 0xFF51;
const CODING_STYLE: u16 = 0xFF52;
const COMPONENT_CODING_STYLE: u16 = 0xFF53;
const START_OF_TILE_PART: u16 = 0xFF90;
const START_OF_DATA: u16 = 0xFF93;

/// Sample format of a JPEG 2000 codestream, from its main header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Codestream {
    /// Bits per value.
    pub(super) precision: u8,
    /// Whether values are two's complement.
    pub(super) is_signed: bool,
    /// Whether its wavelet is the reversible 5/3 one, not 9/7.
    pub(super) is_reversible: bool,
}

/// Width and height of a tile, clipped to the image.
struct TileSize {
    width: u64,
    height: u64,
}

impl Codestream {
    /// Reads the headers of a codestream (ITU-T T.800, annex A). Rejects any but one component of
    /// `width · height`, and partitions into more pieces than memory allows: a decoder allocates both
    /// before it reads any data.
    pub(super) fn check(data: &[u8], width: usize, height: usize) -> Result<Self, String> {
        let short = || "its JPEG 2000 data is cut short in a header".to_owned();
        if half(data, 0) != Some(START) || half(data, 2) != Some(SIZE) {
            return Err("it has no JPEG 2000 codestream".to_owned());
        }
        let mut at = 4 + usize::from(half(data, 4).ok_or_else(short)?);
        let (mut codestream, tile) = read_size(data, width, height)?;
        let mut pieces = None;
        loop {
            match half(data, at).ok_or_else(short)? {
                START_OF_TILE_PART => break,
                COMPONENT_CODING_STYLE => {
                    return Err("its JPEG 2000 data has a second coding style".to_owned());
                }
                marker => {
                    if marker == CODING_STYLE {
                        pieces = Some(piece_bytes(data, at + 4, &tile).ok_or_else(short)?);
                        codestream.is_reversible = data.get(at + 13) == Some(&1);
                    }
                    at = after_segment(data, at, marker).ok_or_else(short)?;
                }
            }
        }
        let pieces = pieces.ok_or("its JPEG 2000 data has no coding style")?;
        let bytes = pieces.saturating_add(width as u64 * height as u64 * BYTES_PER_PIXEL);
        if bytes > MAX_BYTES {
            return Err(format!(
                "its JPEG 2000 data would take {} MiB to decode, more than {}",
                bytes >> 20,
                MAX_BYTES >> 20
            ));
        }
        while half(data, at) == Some(START_OF_TILE_PART) {
            at = check_tile_part(data, at)?;
        }
        Ok(codestream)
    }
}

/// The image and tile size (SIZ).
fn read_size(data: &[u8], width: usize, height: usize) -> Result<(Codestream, TileSize), String> {
    let short = || "its JPEG 2000 data is cut short in its size".to_owned();
    let word = |index: usize| word(data, 8 + 4 * index).ok_or_else(short);
    let byte = |at: usize| data.get(at).copied().ok_or_else(short);
    let (end_x, end_y, start_x, start_y) = (word(0)?, word(1)?, word(2)?, word(3)?);
    let (tile_width, tile_height) = (word(4)?.min(end_x), word(5)?.min(end_y));
    let (tile_x, tile_y) = (word(6)?, word(7)?);
    let components = half(data, 40).ok_or_else(short)?;
    let (depth, step_x, step_y) = (byte(42)?, byte(43)?, byte(44)?);
    let is_same = end_x.checked_sub(start_x) == Some(width as u64)
        && end_y.checked_sub(start_y) == Some(height as u64)
        && (components, step_x, step_y) == (1, 1, 1);
    if !is_same {
        return Err(format!(
            "its JPEG 2000 data is {}×{} of {components} components where the file claims \
             {width}×{height} of 1",
            end_x.saturating_sub(start_x),
            end_y.saturating_sub(start_y),
        ));
    }
    let precision = (depth & 0x7F) + 1;
    if precision > 16 {
        return Err(format!("its JPEG 2000 data has {precision} bits per value"));
    }
    let across = |end: u64, start: u64, tile: u64| {
        let length = end.checked_sub(start)?;
        (tile > 0).then(|| length.div_ceil(tile))
    };
    match across(end_x, tile_x, tile_width).zip(across(end_y, tile_y, tile_height)) {
        Some((columns, rows)) if columns.saturating_mul(rows) <= MAX_TILES => {}
        _ => return Err("its JPEG 2000 data has more tiles than can be numbered".to_owned()),
    }
    Ok((
        Codestream {
            precision,
            is_signed: depth & 0x80 != 0,
            is_reversible: false,
        },
        TileSize {
            width: tile_width.min(width as u64),
            height: tile_height.min(height as u64),
        },
    ))
}

/// Estimates the bytes for precincts and code-blocks of one tile from its coding style (COD).
fn piece_bytes(data: &[u8], at: usize, tile: &TileSize) -> Option<u64> {
    let byte = |offset: usize| data.get(at + offset).copied().map(u64::from);
    let has_precincts = byte(0)? & 1 != 0;
    let layers = u64::from(half(data, at + 2)?);
    let levels = byte(5)?;
    let (block_width, block_height) = (byte(6)? + 2, byte(7)? + 2);
    let count = |length: u64, exponent: u64| (length >> exponent.min(63)) + 2;
    let mut bytes = 0_u64;
    for level in 0..=levels {
        let (across, down) = match has_precincts {
            true => {
                let exponents = byte(10 + level as usize)?;
                (exponents & 0xF, exponents >> 4)
            }
            false => (15, 15),
        };
        let shrink = (levels - level).min(63);
        let (width, height) = (tile.width >> shrink, tile.height >> shrink);
        let precincts = count(width, across).saturating_mul(count(height, down));
        // Three sub-bands of half the size; no code-block is larger than its precinct.
        let blocks = 3 * count(width, across.min(block_width + 1))
            .saturating_mul(count(height, down.min(block_height + 1)));
        let kept = blocks.saturating_mul(BYTES_PER_BLOCK + BYTES_PER_LAYER * layers);
        bytes = bytes
            .saturating_add(kept)
            .saturating_add(precincts.saturating_mul(BYTES_PER_PRECINCT));
    }
    Some(bytes)
}

/// Rejects a tile-part that changes the coding style; returns the offset of the next one.
fn check_tile_part(data: &[u8], start: usize) -> Result<usize, String> {
    let broken = || "its JPEG 2000 data has a broken tile-part".to_owned();
    let end = match word(data, start + 6).ok_or_else(broken)? {
        0 => data.len(),
        length => start + usize::try_from(length).map_err(|_| broken())?,
    };
    let mut at = start + 12;
    loop {
        if at >= end {
            return Err(broken());
        }
        match half(data, at).ok_or_else(broken)? {
            START_OF_DATA => return Ok(end),
            CODING_STYLE | COMPONENT_CODING_STYLE => {
                return Err("a tile of its JPEG 2000 data has a coding style of its own".to_owned());
            }
            marker => at = after_segment(data, at, marker).ok_or_else(broken)?,
        }
    }
}

/// End of the marker segment at `at`.
fn after_segment(data: &[u8], at: usize, marker: u16) -> Option<usize> {
    match marker {
        // Markers without a segment.
        0xFF30..=0xFF3F => Some(at + 2),
        0xFF40..=0xFFFF => Some(at + 2 + usize::from(half(data, at + 2)?.max(2))),
        _ => None,
    }
}

fn half(data: &[u8], at: usize) -> Option<u16> {
    let bytes = data.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

fn word(data: &[u8], at: usize) -> Option<u64> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u64::from(u32::from_be_bytes(bytes.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &[u8] = include_bytes!("../../tests/fixtures/codestreams/12_bits.j2k");

    fn error(changes: &[(usize, &[u8])], width: usize, height: usize) -> String {
        let mut data = SOUND.to_vec();
        for (at, bytes) in changes {
            data[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        Codestream::check(&data, width, height).expect_err("refused")
    }

    #[test]
    fn values_are_told_before_they_are_decoded() {
        let expected = Codestream {
            precision: 12,
            is_signed: false,
            is_reversible: true,
        };
        assert_eq!(Codestream::check(SOUND, 56, 40), Ok(expected));
    }

    #[test]
    fn another_size_and_another_count_of_components_are_refused() {
        assert!(error(&[], 40, 56).contains("56×40 of 1 components"));
        assert!(error(&[(40, &[0, 3])], 56, 40).contains("of 3 components"));
    }

    #[test]
    fn what_would_be_cut_into_too_many_pieces_is_refused() {
        let large = 16_384_u32.to_be_bytes();
        let larger: &[(usize, &[u8])] = &[(8, &large), (12, &large)];
        // Still in tiles of 56 by 40.
        assert!(error(larger, 16_384, 16_384).contains("tiles"));
        let one_tile = [larger, &[(24, &large), (28, &large)]].concat();
        assert!(error(&one_tile, 16_384, 16_384).contains("MiB to decode"));
        let fewer = 4096_u32.to_be_bytes();
        let layers: &[(usize, &[u8])] = &[
            (8, &fewer),
            (12, &fewer),
            (24, &fewer),
            (28, &fewer),
            // 65,535 layers of code-blocks of 4 by 4.
            (51, &[0xFF, 0xFF]),
            (55, &[0, 0]),
        ];
        assert!(error(layers, 4096, 4096).contains("MiB to decode"));
    }
}
