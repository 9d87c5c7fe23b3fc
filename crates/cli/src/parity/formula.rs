//! The small formulas that fixtures spell out as text or that their README defines.

/// The factor of `term` in a sum such as `0.7*lm+0.1*l_cp+0.2*l_cs`.
pub fn loss_weight(formula: &str, term: &str) -> Result<f64, String> {
    formula
        .split('+')
        .filter_map(|product| product.split_once('*'))
        .find(|(_, name)| name.trim() == term)
        .and_then(|(factor, _)| factor.trim().parse().ok())
        .ok_or_else(|| format!("the loss '{formula}' gives no factor of {term}"))
}

/// Offset and divisor of a normalisation such as `(u8-128)/64`.
pub fn byte_normalisation(formula: &str) -> Result<(f64, f64), String> {
    formula
        .strip_prefix("(u8-")
        .and_then(|rest| rest.split_once(")/"))
        .and_then(|(offset, divisor)| Some((offset.parse().ok()?, divisor.parse().ok()?)))
        .ok_or_else(|| format!("the image normalisation '{formula}' is not (u8-A)/B"))
}

/// `u(k, i)` in `[0, 1)`: the deterministic numbers that weights and images are made of.
pub fn uniform(k: u32, index: usize) -> f64 {
    let mut hash = (index as u32)
        .wrapping_mul(0x9E37_79B1)
        .wrapping_add(k.wrapping_mul(0x85EB_CA77))
        .wrapping_add(0x1656_67B1);
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85EB_CA6B);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xC2B2_AE35);
    hash ^= hash >> 16;
    f64::from(hash) / 4_294_967_296.0
}

/// `2u − 1`, in `[−1, 1)`.
pub fn signed(k: u32, index: usize) -> f64 {
    2.0 * uniform(k, index) - 1.0
}

/// The first `count` numbers of tensor `k` through `value`, as f32.
pub fn filled(k: u32, count: usize, value: impl Fn(f64) -> f64) -> Vec<f32> {
    (0..count)
        .map(|index| value(signed(k, index)) as f32)
        .collect()
}

/// The deterministic image, `[batch, channels, height, width]` flat.
pub fn image(k: u32, [batch, channels, height, width]: [usize; 4]) -> Vec<f32> {
    let mut pixels = Vec::with_capacity(batch * channels * height * width);
    for b in 0..batch {
        for c in 0..channels {
            for y in 0..height {
                for x in 0..width {
                    let ramp = (7 * x + 3 * y + 50 * c + 97 * b) % 256;
                    let noise = signed(k, pixels.len());
                    let pixel = 0.75 * (ramp as f64 / 128.0 - 1.0) + 0.75 * noise;
                    pixels.push(pixel as f32);
                }
            }
        }
    }
    pixels
}
