//! The limits of one request and of all of them together (`docs/format.md` section 11).

/// A body as sent.
pub const SENT_BYTES: usize = 16 << 20;
/// A body decompressed.
pub const DECODED_BYTES: usize = 64 << 20;
/// Events of one request.
pub const EVENTS: usize = 50_000;
/// Events that are encoded together, off the reading thread.
pub const SLICE_EVENTS: usize = 1_000;
/// Bytes after which a slice is closed even if it holds fewer events.
pub const SLICE_BYTES: usize = 1 << 20;
/// Decompressed bytes of all requests that are being read, beyond which new ones are told to wait.
pub const READING_BYTES: usize = 192 << 20;
/// The window of a zstd body: what RFC 9659 allows in HTTP, 8 MiB.
pub const ZSTD_WINDOW_LOG: u32 = 23;
