//! Reading configurations from JSON, with the key's path in errors.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ConfigError;

/// Reads a configuration from the text of a JSON file.
///
/// # Errors
///
/// [`ConfigError`] at the key whose value is wrong, missing or unknown.
pub fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, ConfigError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(key_and_reason)?;
    reader.end().map_err(ConfigError::at(""))?;
    Ok(read)
}

/// Reads a configuration from JSON values.
///
/// # Errors
///
/// As [`from_json`].
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(value).map_err(key_and_reason)
}

fn key_and_reason(error: serde_path_to_error::Error<serde_json::Error>) -> ConfigError {
    let path = error.path().to_string();
    // An unknown key has no name there; the message gives it.
    let path = path.trim_end_matches('?').trim_matches('.');
    let message = match error.inner().is_eof() {
        true => format!("{}: the file may be cut short", error.inner()),
        false => error.inner().to_string(),
    };
    let within = message.strip_prefix("in `");
    match within.and_then(|rest| rest.split_once("`: ")) {
        Some((key, reason)) => ConfigError::new(key, reason),
        None => ConfigError::new("", message),
    }
    .within(path)
}

/// Reads part of a configuration in an implementation of `Deserialize`. The path of a wrong key
/// reaches [`from_json`] through the message of serde's error, as "in `key`: reason".
pub(super) fn part<T: DeserializeOwned, E: serde::de::Error>(value: Value) -> Result<T, E> {
    from_value(value).map_err(|error| match error.key() {
        "" => E::custom(error.reason()),
        key => E::custom(format!("in `{key}`: {}", error.reason())),
    })
}
