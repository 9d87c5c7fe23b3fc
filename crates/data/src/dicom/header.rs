use super::elements::{
    BITS_ALLOCATED, BITS_STORED, COLUMNS, DataSet, FRAMES, HIGH_BIT, PADDING, PADDING_LIMIT,
    PHOTOMETRIC, PIXEL_REPRESENTATION, ROWS, SAMPLES_PER_PIXEL, SOP_CLASS, Tag,
};

/// Advice for images that are not decoded.
const CONVERT: &str = "convert it to PNG first, such as with DCMTK's `dcm2img`";

/// Image attributes of a film.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PixelHeader {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Bits of a word: 8 or 16.
    pub(super) bits_allocated: u32,
    /// Bits of a value, the highest of which is `high_bit`.
    pub(super) bits_stored: u32,
    pub(super) high_bit: u32,
    /// Whether values are two's complement in `bits_stored` bits.
    pub(super) is_signed: bool,
    /// MONOCHROME1: the least value is white.
    pub(super) is_inverted: bool,
    /// Range of padding values, ends included.
    pub(super) padding: Option<(i32, i32)>,
}

impl PixelHeader {
    /// Reads the attributes of the image pixel module (PS3.3, C.7.6.3). Defaults for blank or absent ones
    /// are pydicom's: one sample, one frame, unsigned, all bits stored.
    pub(super) fn of(set: &DataSet<'_>) -> Result<Self, String> {
        let required = |tag, name| match number(set, tag, name)? {
            Some(value) => Ok(value),
            None if set.pixels.is_none() => Err(no_picture(set)),
            None => Err(format!("it has no {name}")),
        };
        let or = |tag, name, default| {
            number(set, tag, name).map(|value: Option<u32>| value.unwrap_or(default))
        };
        let (width, height) = (required(COLUMNS, "Columns")?, required(ROWS, "Rows")?);
        let is_inverted = is_inverted(set)?;
        let samples = or(SAMPLES_PER_PIXEL, "SamplesPerPixel", 1)?;
        if samples != 1 {
            return Err(format!(
                "it has {samples} samples per pixel, not 1; {CONVERT}"
            ));
        }
        let frames = or(FRAMES, "NumberOfFrames", 1)?;
        if frames > 1 {
            return Err(format!("it has {frames} frames, not 1; {CONVERT}"));
        }
        let bits_allocated = required(BITS_ALLOCATED, "BitsAllocated")?;
        if !matches!(bits_allocated, 8 | 16) {
            return Err(format!(
                "it has {bits_allocated} bits per value, neither 8 nor 16; {CONVERT}"
            ));
        }
        let bits_stored = or(BITS_STORED, "BitsStored", bits_allocated)?;
        if bits_stored == 0 || bits_stored > bits_allocated {
            return Err(format!(
                "its BitsStored is {bits_stored}, outside 1 to BitsAllocated, {bits_allocated}"
            ));
        }
        let high_bit = or(HIGH_BIT, "HighBit", bits_stored - 1)?;
        if high_bit >= bits_allocated || high_bit + 1 < bits_stored {
            return Err(format!(
                "its HighBit {high_bit} does not go with {bits_stored} bits stored of \
                 {bits_allocated}"
            ));
        }
        let is_signed = or(PIXEL_REPRESENTATION, "PixelRepresentation", 0)? == 1;
        Ok(PixelHeader {
            width: width as usize,
            height: height as usize,
            bits_allocated,
            bits_stored,
            high_bit,
            is_signed,
            is_inverted,
            padding: padding(set, is_signed),
        })
    }

    /// Length of the uncompressed pixels in bytes.
    pub(super) fn native_length(&self) -> usize {
        self.width * self.height * (self.bits_allocated / 8) as usize
    }
}

/// The number of an element of any value representation; `None` if it is absent or blank.
fn number(set: &DataSet<'_>, tag: Tag, name: &str) -> Result<Option<u32>, String> {
    let Some(value) = set.value(tag) else {
        return Ok(None);
    };
    let is_text = match value.kind {
        Some(kind) => matches!(&kind, b"IS" | b"DS" | b"LO" | b"SH" | b"CS" | b"UT"),
        None => tag == FRAMES,
    };
    if is_text {
        let text = text(value.bytes);
        return match text.split('\\').next() {
            Some("") | None => Ok(None),
            Some(first) => first
                .trim()
                .parse()
                .map(Some)
                .map_err(|_| format!("its {name} is no number: {first:?}")),
        };
    }
    let number = match value.kind {
        Some(kind) if matches!(&kind, b"UL" | b"SL") => set.encoding.word(value.bytes, 0),
        _ => set.encoding.half(value.bytes, 0).map(u32::from),
    };
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(format!("its {name} is no number")),
    }
}

fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_matches(['\0', ' ']).to_owned()
}

fn is_inverted(set: &DataSet<'_>) -> Result<bool, String> {
    let photometric = set
        .value(PHOTOMETRIC)
        .map(|value| text(value.bytes).to_ascii_uppercase())
        .unwrap_or_default();
    match photometric.as_str() {
        "MONOCHROME1" => Ok(true),
        "MONOCHROME2" => Ok(false),
        "" => Err(
            "it has no PhotometricInterpretation, which says whether its least value is black \
             (MONOCHROME2) or white (MONOCHROME1); set it, such as with DCMTK's `dcmodify`"
                .to_owned(),
        ),
        other => Err(format!(
            "its photometric interpretation is {other}, no radiograph's; {CONVERT}"
        )),
    }
}

/// Range of padding values (PS3.3, C.7.5.1.1.2), which have the sign and width of the pixels.
fn padding(set: &DataSet<'_>, is_signed: bool) -> Option<(i32, i32)> {
    let value = |tag| {
        let word = set.encoding.half(set.value(tag)?.bytes, 0)?;
        Some(match is_signed {
            true => i32::from(word as i16),
            false => i32::from(word),
        })
    };
    let one = value(PADDING)?;
    let other = value(PADDING_LIMIT).unwrap_or(one);
    Some((one.min(other), one.max(other)))
}

/// The error for a data set without an image.
fn no_picture(set: &DataSet<'_>) -> String {
    let class = set.value(SOP_CLASS).map(|value| text(value.bytes));
    match class {
        Some(class) => format!("it holds no picture but DICOM data of SOP class {class}"),
        None => "it holds no picture but other DICOM data, such as a DICOMDIR".to_owned(),
    }
}
