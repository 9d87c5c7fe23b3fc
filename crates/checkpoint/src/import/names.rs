/// Names of the official state that are left out on purpose: the sinusoid table and the count of
/// batches, both recomputed, and the second name of the shared memory projections.
pub const SKIPPED_OFFICIAL: [&str; 3] = [".pe", ".num_batches_tracked", SHARED_MEMORY];

/// Where the official state repeats the memory's projections, `encoder_decoder.cmn.…`.
pub(super) const SHARED_MEMORY: &str = "encoder_decoder.model.cmn.";

/// Names of torchvision's ResNets that are left out on purpose: the classification head and the
/// count of batches.
pub const SKIPPED_TORCHVISION: [&str; 2] = ["fc.", ".num_batches_tracked"];

/// The official code's name of the weight at `path` inside `Ithn<R2GenCmn>`.
///
/// | here | official |
/// |---|---|
/// | `generator.backbone.stem` | `visual_extractor.model.0`, `.1` |
/// | `generator.backbone.stages.S.B` | `visual_extractor.model.{4 + S}.B` |
/// | `….convolutions.C` | `….conv{C + 1}`, `….bn{C + 1}` |
/// | `….downsample` | `….downsample.0`, `.1` |
/// | `generator.visual_embedding` | `encoder_decoder.att_embed.0` |
/// | `generator.memory.matrix` | `encoder_decoder.memory_matrix` |
/// | `generator.memory.{query, key, value, output}` | `encoder_decoder.cmn.linears.{0, 1, 2, 3}` |
/// | `generator.{encoder, decoder}.layers.L` | `encoder_decoder.model.{encoder, decoder}.layers.L` |
/// | `….{self, cross}_attention.{query, key, value, output}` | `….{self, src}_attn.linears.{0, 1, 2, 3}` |
/// | `….feed_forward.{inner, outer}` | `….feed_forward.{w_1, w_2}` |
/// | `….*_norm.{scale, shift}` | `….sublayer.{0, 1, 2}.norm.{a_2, b_2}` |
/// | `generator.token_embedding` | `encoder_decoder.model.tgt_embed.0.lut` |
/// | `generator.logits` | `encoder_decoder.logit` |
/// | `heads.image`, `heads.report` | `img_projection.linear1`, `text_projection.linear1` |
/// | `temperatures.pairs`, `.hardened` | `temp_1`, `temp_3` |
///
/// `None` for a path that the official model does not have.
pub fn official_name(path: &str) -> Option<String> {
    if let Some(rest) = path.strip_prefix("generator.backbone.") {
        return backbone_name(rest, OfficialStem)
            .map(|name| format!("visual_extractor.model.{name}"));
    }
    if let Some(rest) = path.strip_prefix("generator.") {
        return encoder_decoder_name(rest).map(|name| format!("encoder_decoder.{name}"));
    }
    match path {
        "heads.image.weight" => Some("img_projection.linear1.weight".to_owned()),
        "heads.report.weight" => Some("text_projection.linear1.weight".to_owned()),
        "temperatures.pairs" => Some("temp_1".to_owned()),
        "temperatures.hardened" => Some("temp_3".to_owned()),
        _ => None,
    }
}

/// torchvision's name of the weight at `path` inside a `ResNet`: `conv1`, `bn1`, `layer1.0.conv1`…
///
/// `None` for a path that a ResNet does not have.
pub fn torchvision_name(path: &str) -> Option<String> {
    backbone_name(path, TorchvisionStem)
}

/// Whether `name` can be a parameter of the official code's model: a temperature, or a parameter of one of the model's
/// modules, whose name precedes the first dot.
pub(super) fn is_official(name: &str) -> bool {
    match name.split_once('.') {
        Some((part, _)) => [
            "visual_extractor",
            "encoder_decoder",
            "img_projection",
            "text_projection",
        ]
        .contains(&part),
        None => ["temp_1", "temp_3"].contains(&name),
    }
}

/// Whether torchvision's ResNets have a weight of this name. Their head is left out: any network may
/// have an `fc`.
pub(super) fn is_torchvision_weight(name: &str) -> bool {
    let parts: Vec<&str> = name.splitn(4, '.').collect();
    match parts.as_slice() {
        ["conv1", "weight"] | ["bn1", _] => true,
        ["layer1" | "layer2" | "layer3" | "layer4", block, part, _] => {
            let is_part =
                ["conv1", "conv2", "conv3", "bn1", "bn2", "bn3", "downsample"].contains(part);
            is_part && block.parse::<usize>().is_ok()
        }
        _ => false,
    }
}

/// How a checkpoint calls the stem and the stages.
trait StemNames {
    fn stem(&self, part: &str) -> &'static str;
    fn stage(&self, index: usize) -> String;
}

/// `nn.Sequential` of the children of a ResNet: indices.
struct OfficialStem;

/// A ResNet itself: attribute names.
struct TorchvisionStem;

impl StemNames for OfficialStem {
    fn stem(&self, part: &str) -> &'static str {
        if part == "conv" { "0" } else { "1" }
    }

    fn stage(&self, index: usize) -> String {
        (index + 4).to_string()
    }
}

impl StemNames for TorchvisionStem {
    fn stem(&self, part: &str) -> &'static str {
        if part == "conv" { "conv1" } else { "bn1" }
    }

    fn stage(&self, index: usize) -> String {
        format!("layer{}", index + 1)
    }
}

fn backbone_name(path: &str, names: impl StemNames) -> Option<String> {
    let parts: Vec<&str> = path.split('.').collect();
    match parts.as_slice() {
        ["stem", part, weight] => Some(format!("{}.{}", names.stem(part), norm_weight(weight))),
        ["stages", stage, block, "convolutions", index, part, weight] => {
            let stage = names.stage(stage.parse().ok()?);
            let number = index.parse::<usize>().ok()? + 1;
            let part = if *part == "conv" { "conv" } else { "bn" };
            let weight = norm_weight(weight);
            Some(format!("{stage}.{block}.{part}{number}.{weight}"))
        }
        ["stages", stage, block, "downsample", part, weight] => {
            let stage = names.stage(stage.parse().ok()?);
            let part = if *part == "conv" { 0 } else { 1 };
            let weight = norm_weight(weight);
            Some(format!("{stage}.{block}.downsample.{part}.{weight}"))
        }
        _ => None,
    }
}

pub(super) fn norm_weight(name: &str) -> &str {
    match name {
        "gamma" => "weight",
        "beta" => "bias",
        other => other,
    }
}

fn encoder_decoder_name(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('.').collect();
    match parts.as_slice() {
        ["visual_embedding", weight] => Some(format!("att_embed.0.{weight}")),
        ["memory", "matrix"] => Some("memory_matrix".to_owned()),
        ["memory", projection, weight] => Some(format!(
            "cmn.linears.{}.{weight}",
            projection_index(projection)?
        )),
        ["token_embedding", "weight"] => Some("model.tgt_embed.0.lut.weight".to_owned()),
        ["logits", weight] => Some(format!("logit.{weight}")),
        [stack @ ("encoder" | "decoder"), "norm", weight] => {
            Some(format!("model.{stack}.norm.{}", deviation_weight(weight)?))
        }
        [stack @ ("encoder" | "decoder"), "layers", layer, rest @ ..] => {
            layer_name(stack, rest).map(|name| format!("model.{stack}.layers.{layer}.{name}"))
        }
        _ => None,
    }
}

fn layer_name(stack: &str, parts: &[&str]) -> Option<String> {
    let feed_forward_sublayer = if stack == "encoder" { 1 } else { 2 };
    match parts {
        ["self_attention", projection, weight] => Some(format!(
            "self_attn.linears.{}.{weight}",
            projection_index(projection)?
        )),
        ["cross_attention", projection, weight] => Some(format!(
            "src_attn.linears.{}.{weight}",
            projection_index(projection)?
        )),
        ["feed_forward", "inner", weight] => Some(format!("feed_forward.w_1.{weight}")),
        ["feed_forward", "outer", weight] => Some(format!("feed_forward.w_2.{weight}")),
        [norm, weight] => {
            let sublayer = match *norm {
                "self_attention_norm" => 0,
                "cross_attention_norm" => 1,
                "feed_forward_norm" => feed_forward_sublayer,
                _ => return None,
            };
            let weight = deviation_weight(weight)?;
            Some(format!("sublayer.{sublayer}.norm.{weight}"))
        }
        _ => None,
    }
}

fn projection_index(name: &str) -> Option<usize> {
    ["query", "key", "value", "output"]
        .iter()
        .position(|projection| *projection == name)
}

fn deviation_weight(name: &str) -> Option<&'static str> {
    match name {
        "scale" => Some("a_2"),
        "shift" => Some("b_2"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_every_kind_of_weight() {
        for (path, name) in [
            (
                "generator.backbone.stem.conv.weight",
                "visual_extractor.model.0.weight",
            ),
            (
                "generator.backbone.stages.0.1.convolutions.2.norm.gamma",
                "visual_extractor.model.4.1.bn3.weight",
            ),
            (
                "generator.backbone.stages.3.0.downsample.norm.running_var",
                "visual_extractor.model.7.0.downsample.1.running_var",
            ),
            (
                "generator.memory.output.bias",
                "encoder_decoder.cmn.linears.3.bias",
            ),
            (
                "generator.decoder.layers.2.feed_forward_norm.scale",
                "encoder_decoder.model.decoder.layers.2.sublayer.2.norm.a_2",
            ),
            (
                "generator.encoder.layers.0.feed_forward_norm.shift",
                "encoder_decoder.model.encoder.layers.0.sublayer.1.norm.b_2",
            ),
        ] {
            assert_eq!(official_name(path).as_deref(), Some(name));
        }
        assert_eq!(
            torchvision_name("stages.2.5.convolutions.0.conv.weight").as_deref(),
            Some("layer3.5.conv1.weight")
        );
        assert_eq!(official_name("generator.somewhere.else"), None);
    }
}
