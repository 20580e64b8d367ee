//! How much may be on its way in a tunnel before it is taken; the values are ztunnel's.

/// Of one stream.
pub(super) const STREAM_WINDOW: u32 = 4 << 20;

/// Of all streams of a tunnel.
pub(super) const CONNECTION_WINDOW: u32 = 16 << 20;

/// Of one frame.
pub(super) const FRAME: u32 = 1 << 20;
