//! What the engine asks of the thing that it writes to.
//!
//! A block device of firmware, a file, or a pipe: anything that takes bytes in order. The traits
//! are those of `embedded-io`, so that drivers written for it fit.

use blake3::Hash;
use embedded_io::{Read, Seek, Write};

/// Where the image goes.
///
/// The engine writes from position 0 to the end, and seeks only where
/// [`holds_back_start`](Self::holds_back_start) or [`reader`](Self::reader) lets it. Each `write`
/// is given bytes that begin at a multiple of [`WRITE_SIZE`](crate::engine::WRITE_SIZE) and end at
/// the next one, save four: what a short write left over; the last one; if the ring is so small
/// that the sender's next slice has no room otherwise, one that ends at a multiple of 4096 bytes;
/// and, when all is written, what a partition table needs, in whole sectors.
///
/// An error ends the transfer, `Interrupted` too: try again before it comes to that.
///
/// A disk may take bytes and write them in the background; then [`is_ready`](Self::is_ready) and
/// [`poll_flush`](Self::poll_flush) tell what became of them. `flush` must return only when
/// everything written is where a loss of power can't take it away: success is told to the sender
/// right after it.
pub trait Disk: Write + Seek {
    /// Bytes that the disk holds, or `None` if that can't be told, as of a pipe or a file that
    /// grows. What would go past it is refused before it is written.
    fn capacity(&self) -> Option<u64>;

    /// Whether the first bytes, which make a disk bootable, are to be written last, and zeros in
    /// their place until then, so that a transfer that breaks off leaves nothing that starts. It
    /// needs
    /// `seek`. Default: if the capacity is known.
    fn holds_back_start(&self) -> bool {
        self.capacity().is_some()
    }

    /// Bytes of a sector, if the disk has any that a partition table could be made for. An image
    /// whose table is for another size is refused before the first write. Default: none.
    fn sector_size(&self) -> Option<u32> {
        None
    }

    /// The disk as something that can be read, at the position that it is written at, so that what
    /// was written can be proved. It must not give what it remembers of writes, but what the medium
    /// has, as far as that is in its hands. It needs `seek`. Default: it can't be read, and what is
    /// written there stays unproved.
    fn reader(&mut self) -> Option<&mut dyn Read<Error = Self::Error>> {
        None
    }

    /// Whether a write or a read would be taken without a wait. While it would not, the engine
    /// leaves the disk alone and the network is served. Default: always.
    ///
    /// # Errors
    /// What became of an earlier write that goes on when `write` has returned.
    fn is_ready(&mut self) -> Result<bool, Self::Error> {
        Ok(true)
    }

    /// When [`is_ready`](Self::is_ready) tells of an earlier write that failed: how many of the
    /// bytes that were written last begin with it. Default: 0, if that is not known.
    fn unwritten(&self) -> u64 {
        0
    }

    /// Does what `flush` does, but may return before: false if it is to be called again later.
    /// Default: `flush`.
    ///
    /// # Errors
    /// As those of `flush`.
    fn poll_flush(&mut self) -> Result<bool, Self::Error> {
        self.flush().map(|()| true)
    }

    /// Has `len` bytes from `offset` on read as zero, without being written them one by one: false
    /// if there is no such way, and nothing was done. Where the disk is written next stays as it
    /// is. Only asked for bytes behind all that were written so far. Default: there is none.
    ///
    /// # Errors
    /// As those of `write`.
    fn write_zeroes(&mut self, offset: u64, len: u64) -> Result<bool, Self::Error> {
        let _ = (offset, len);
        Ok(false)
    }

    /// Whether the medium itself says that it has nothing in these `len` bytes from `offset` on, so
    /// that they read as zero: then they need not be read. Where the disk is read next may be
    /// another place afterwards. Default: it says nothing.
    fn is_blank(&mut self, offset: u64, len: u64) -> bool {
        let _ = (offset, len);
        false
    }

    /// Whether nothing that is written is kept. Then a transfer never ends well: when all has been
    /// received, the sender is told that this receiver leaves, and not that it has the image.
    /// Default: no.
    fn is_dry_run(&self) -> bool {
        false
    }

    /// Gets ready for the first write, which follows. Called once, and never if nothing is to be
    /// written. Default: nothing is to be done.
    ///
    /// # Errors
    /// If the disk must not be written. It counts as untouched then.
    fn prepare(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Does what is left to do with a disk that has the whole image, proved as far as it was to be,
    /// and could start: such as to give the machine a file of its own. `hash` is the BLAKE3 of the
    /// stream. The engine writes nothing afterwards, unless this fails; then it does what it does
    /// after any failure. Gives a few words about it for the sender's list, or none. Default:
    /// nothing is left to do.
    ///
    /// # Errors
    /// If it could not be done, so that the machine is not what it was meant to become.
    fn complete(&mut self, hash: &Hash) -> Result<&'static str, Self::Error> {
        let _ = hash;
        Ok("")
    }
}

impl<D: Disk + ?Sized> Disk for &mut D {
    fn capacity(&self) -> Option<u64> {
        (**self).capacity()
    }

    fn holds_back_start(&self) -> bool {
        (**self).holds_back_start()
    }

    fn sector_size(&self) -> Option<u32> {
        (**self).sector_size()
    }

    fn reader(&mut self) -> Option<&mut dyn Read<Error = Self::Error>> {
        (**self).reader()
    }

    fn is_ready(&mut self) -> Result<bool, Self::Error> {
        (**self).is_ready()
    }

    fn unwritten(&self) -> u64 {
        (**self).unwritten()
    }

    fn poll_flush(&mut self) -> Result<bool, Self::Error> {
        (**self).poll_flush()
    }

    fn write_zeroes(&mut self, offset: u64, len: u64) -> Result<bool, Self::Error> {
        (**self).write_zeroes(offset, len)
    }

    fn is_blank(&mut self, offset: u64, len: u64) -> bool {
        (**self).is_blank(offset, len)
    }

    fn is_dry_run(&self) -> bool {
        (**self).is_dry_run()
    }

    fn prepare(&mut self) -> Result<(), Self::Error> {
        (**self).prepare()
    }

    fn complete(&mut self, hash: &Hash) -> Result<&'static str, Self::Error> {
        (**self).complete(hash)
    }
}
