//! TensorBoard's event files: protocol buffers of `tensorflow/core/util/event.proto`, framed as TFRecords. Only the
//! fields that scalars need.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crc::{CRC_32_ISCSI, Crc};
use prost::Message;

/// A number under its name.
pub(super) struct Scalar {
    pub(super) name: String,
    pub(super) value: f32,
}

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    /// 1 is START: what an earlier file of the folder says of this step and later ones is void.
    #[prost(int32, tag = "1")]
    status: i32,
}

/// An event file that grows.
pub(super) struct EventFile(BufWriter<File>);

impl EventFile {
    /// Begins a new file in the folder whose first numbers are those of `step`.
    pub(super) fn create(folder: &Path, step: usize) -> io::Result<Self> {
        let now = now();
        let name = format!("events.out.tfevents.{now:.6}.ithn.{}", std::process::id());
        let mut file = EventFile(BufWriter::new(File::create_new(folder.join(name))?));
        file.event(&Event {
            wall_time: now,
            file_version: Some("brain.Event:2".to_owned()),
            ..Event::default()
        })?;
        file.event(&Event {
            wall_time: now,
            step: step as i64,
            session_log: Some(SessionLog { status: 1 }),
            ..Event::default()
        })?;
        Ok(file)
    }

    /// Writes the numbers of a step through to the file.
    pub(super) fn write(&mut self, step: usize, scalars: Vec<Scalar>) -> io::Result<()> {
        let value = |scalar: Scalar| Value {
            tag: scalar.name,
            simple_value: Some(scalar.value),
        };
        self.event(&Event {
            wall_time: now(),
            step: step as i64,
            summary: Some(Summary {
                value: scalars.into_iter().map(value).collect(),
            }),
            ..Event::default()
        })?;
        self.0.flush()
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        let bytes = event.encode_to_vec();
        let length = (bytes.len() as u64).to_le_bytes();
        for part in [
            &length[..],
            &masked_crc(&length).to_le_bytes(),
            &bytes,
            &masked_crc(&bytes).to_le_bytes(),
        ] {
            self.0.write_all(part)?;
        }
        Ok(())
    }
}

/// CRC-32C, rotated and offset as TFRecords have it.
fn masked_crc(bytes: &[u8]) -> u32 {
    let crc = Crc::<u32>::new(&CRC_32_ISCSI).checksum(bytes);
    crc.rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// Seconds since 1970.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// Step, name and number of every scalar in an event file; `None` if a frame is damaged.
#[cfg(test)]
pub(super) fn read(mut bytes: &[u8]) -> Option<Vec<(i64, String, f32)>> {
    let mut scalars = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_at_checked(8)?;
        let (checked, rest) = rest.split_at_checked(4)?;
        if masked_crc(length).to_le_bytes() != checked {
            return None;
        }
        let length = u64::from_le_bytes(length.try_into().ok()?);
        let (content, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        let (checked, rest) = rest.split_at_checked(4)?;
        if masked_crc(content).to_le_bytes() != checked {
            return None;
        }
        let event = Event::decode(content).ok()?;
        for value in event.summary.into_iter().flat_map(|summary| summary.value) {
            scalars.push((event.step, value.tag, value.simple_value?));
        }
        bytes = rest;
    }
    Some(scalars)
}

#[cfg(test)]
mod tests {
    use super::masked_crc;

    /// RFC 3720, B.4: CRC-32C of 32 bytes of zeros is 8a9136aa.
    #[test]
    fn the_checksum_is_that_of_tfrecords() {
        let crc = 0x8A91_36AA_u32;
        let masked = crc.rotate_right(15).wrapping_add(0xA282_EAD8);
        assert_eq!(masked_crc(&[0; 32]), masked);
    }
}
