use std::cell::Cell;

use zune_jpeg::zune_core::bytestream::{ZByteIoError, ZByteReaderTrait, ZSeekFrom};

/// Where the decoder was; it owns its reader and gives no access to it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Position at which the decoder stopped reading; may be past the end.
    pub(super) reached: Cell<usize>,
    /// Position behind the scan from which the decoder searched for a marker; `None` if it did not.
    pub(super) searched_from: Cell<Option<usize>>,
}

/// Bytes in memory. The decoder reads four at a time; inlined, each read is one load.
pub(super) struct InMemory<'a> {
    bytes: &'a [u8],
    /// May be past the end.
    position: usize,
    /// Position at which the data of the last scan ends.
    end_of_scans: usize,
    /// `reached` is set on drop.
    progress: &'a Progress,
}

impl Drop for InMemory<'_> {
    fn drop(&mut self) {
        self.progress.reached.set(self.position);
    }
}

impl<'a> InMemory<'a> {
    pub(super) fn new(bytes: &'a [u8], end_of_scans: usize, progress: &'a Progress) -> Self {
        InMemory {
            bytes,
            position: 0,
            end_of_scans,
            progress,
        }
    }

    #[inline(always)]
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }
}

impl ZByteReaderTrait for InMemory<'_> {
    #[inline(always)]
    fn read_byte_no_error(&mut self) -> u8 {
        let byte = self.rest().first().copied().unwrap_or(0);
        self.position += 1;
        byte
    }

    #[inline(always)]
    fn read_exact_bytes(&mut self, buffer: &mut [u8]) -> Result<(), ZByteIoError> {
        self.peek_exact_bytes(buffer)?;
        // Coded data come in fours, or through `read_byte_no_error`; the search for a marker reads here,
        // byte by byte.
        if buffer.len() == 1
            && self.position >= self.end_of_scans
            && self.progress.searched_from.get().is_none()
        {
            self.progress.searched_from.set(Some(self.position));
        }
        self.position += buffer.len();
        Ok(())
    }

    fn read_bytes(&mut self, buffer: &mut [u8]) -> Result<usize, ZByteIoError> {
        let count = self.peek_bytes(buffer)?;
        self.position += count;
        Ok(count)
    }

    fn peek_bytes(&mut self, buffer: &mut [u8]) -> Result<usize, ZByteIoError> {
        let count = self.rest().len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest()[..count]);
        Ok(count)
    }

    #[inline(always)]
    fn peek_exact_bytes(&mut self, buffer: &mut [u8]) -> Result<(), ZByteIoError> {
        match self.rest().get(..buffer.len()) {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(ZByteIoError::NotEnoughBytes(
                self.rest().len(),
                buffer.len(),
            )),
        }
    }

    #[inline(always)]
    fn z_seek(&mut self, from: ZSeekFrom) -> Result<u64, ZByteIoError> {
        let target = match from {
            ZSeekFrom::Start(position) => usize::try_from(position).ok(),
            ZSeekFrom::End(offset) => self.bytes.len().checked_add_signed(offset as isize),
            ZSeekFrom::Current(offset) => self.position.checked_add_signed(offset as isize),
        };
        self.position = target.ok_or(ZByteIoError::SeekError("a seek to before the start"))?;
        Ok(self.position as u64)
    }

    #[inline(always)]
    fn is_eof(&mut self) -> Result<bool, ZByteIoError> {
        Ok(self.position >= self.bytes.len())
    }

    fn z_position(&mut self) -> Result<u64, ZByteIoError> {
        Ok(self.position as u64)
    }

    fn read_remaining(&mut self, sink: &mut Vec<u8>) -> Result<usize, ZByteIoError> {
        let rest = self.rest();
        sink.extend_from_slice(rest);
        self.position += rest.len();
        Ok(rest.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_tells_where_it_is_and_when_it_has_ended() {
        let progress = Progress::default();
        let mut reader = InMemory::new(&[1, 2, 3, 4, 5], 4, &progress);
        let mut four = [0; 4];
        reader.read_exact_bytes(&mut four).expect("four bytes");
        assert_eq!(four, [1, 2, 3, 4]);
        assert!(reader.read_exact_bytes(&mut four).is_err());
        assert_eq!(reader.z_position().expect("known"), 4);
        assert_eq!(reader.peek_bytes(&mut four).expect("one byte"), 1);
        assert!(!reader.is_eof().expect("known"));
        assert_eq!(reader.read_byte_no_error(), 5);
        assert!(reader.is_eof().expect("known"));
        assert_eq!(reader.read_byte_no_error(), 0);
        assert!(reader.z_seek(ZSeekFrom::Current(-7)).is_err());
        assert_eq!(reader.z_seek(ZSeekFrom::End(-2)).expect("inside"), 3);
        assert_eq!(progress.searched_from.get(), None);
        for byte in [4, 5] {
            let mut one = [0];
            reader.read_exact_bytes(&mut one).expect("one byte");
            assert_eq!(one, [byte]);
        }
        assert_eq!(progress.searched_from.get(), Some(4));
        reader.z_seek(ZSeekFrom::Start(3)).expect("inside");
        let mut rest = Vec::new();
        assert_eq!(reader.read_remaining(&mut rest).expect("known"), 2);
        assert_eq!(rest, [4, 5]);
        drop(reader);
        assert_eq!(progress.reached.get(), 5);
    }
}
