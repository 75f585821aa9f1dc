//! Refuses a frame by the length its header declares.
//!
//! The WebSocket library compares a frame with its limit only once the whole frame has arrived, and keeps all of it until
//! then: one declared gigabyte would be a gigabyte of memory. This reads the headers as they pass and ends the stream at
//! the first frame that is too large, before any of its payload is kept.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{error::PayloadError, web::Bytes};
use futures_util::Stream;

use super::frames::Frames;

/// A stream of bytes in which no frame is longer than a limit.
pub(super) struct FrameGuard<S> {
    inner: S,
    limit: u64,
    frames: Frames,
}

impl<S> FrameGuard<S> {
    /// Guards `inner`, which begins at the start of a frame.
    pub(super) fn new(inner: S, limit: usize) -> Self {
        Self { inner, limit: u64::try_from(limit).unwrap_or(u64::MAX), frames: Frames::default() }
    }
}

impl<S: Stream<Item = Result<Bytes, PayloadError>> + Unpin> Stream for FrameGuard<S> {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(Pin::new(&mut self.inner).poll_next(cx));
        let limit = self.limit;
        Poll::Ready(match item {
            Some(Ok(bytes)) if !self.frames.pass(&bytes, |length| length <= limit) => Some(Err(PayloadError::Overflow)),
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::{super::frames::HEADER_MAX, *};

    /// A masked text frame, as a client sends it, of which only `sent` payload bytes follow.
    fn frame(length: usize, sent: usize) -> Vec<u8> {
        let mut bytes = vec![0x81];
        match length {
            0..=125 => bytes.push(0x80 | u8::try_from(length).unwrap()),
            126..=0xffff => {
                bytes.push(0xfe);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(0xff);
                bytes.extend(u64::try_from(length).unwrap().to_be_bytes());
            }
        }
        bytes.extend([1, 2, 3, 4]);
        bytes.resize(bytes.len() + sent, b'x');
        bytes
    }

    /// Sends bytes in chunks; returns what passed and whether it ended with a refusal.
    async fn pass(bytes: &[u8], chunk: usize) -> (usize, bool) {
        let chunks: Vec<_> = bytes.chunks(chunk).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
        let mut guard = FrameGuard::new(stream::iter(chunks), 1_000);
        let mut passed = 0;
        while let Some(item) = guard.next().await {
            match item {
                Ok(bytes) => passed += bytes.len(),
                Err(_) => return (passed, true),
            }
        }
        (passed, false)
    }

    #[tokio::test]
    async fn frames_within_the_limit_pass_however_they_are_cut() {
        let mut bytes = Vec::new();
        for length in [0, 1, 125, 126, 127, 999, 1_000, 3] {
            bytes.extend(frame(length, length));
        }
        for chunk in [1, 2, 3, 7, 128, 4_096] {
            assert_eq!(pass(&bytes, chunk).await, (bytes.len(), false), "{chunk}");
        }
    }

    #[tokio::test]
    async fn a_frame_that_declares_too_much_is_refused_by_its_header() {
        for length in [1_001, 70_000, 1 << 40] {
            let mut bytes = frame(10, 10);
            let before = bytes.len();
            bytes.extend(frame(length, 0));
            let (passed, refused) = pass(&bytes, 1).await;
            assert!(refused && passed < before + HEADER_MAX, "{length}: {passed}");
        }
        let most = [0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert!(pass(&most, 5).await.1);
    }
}
