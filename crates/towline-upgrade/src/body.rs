//! The response's body: the inner service's, or a line of the layer's own, or none.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The inner service's body, or that of a response of the layer's: one that accepts a WebSocket has none, one that
    /// refuses it a line of text.
    #[derive(Debug)]
    pub struct UpgradeBody<B> {
        #[pin]
        inner: Option<B>,
        text: &'static str,
    }
}

impl<B> UpgradeBody<B> {
    pub(crate) fn new(inner: B) -> Self {
        Self {
            inner: Some(inner),
            text: "",
        }
    }

    pub(crate) fn empty() -> Self {
        Self::text("")
    }

    pub(crate) fn text(text: &'static str) -> Self {
        Self { inner: None, text }
    }

    /// The inner service's body; `None` if the response is the layer's.
    #[must_use]
    pub fn into_inner(self) -> Option<B> {
        self.inner
    }
}

impl<B> Body for UpgradeBody<B>
where
    B: Body,
    B::Data: From<&'static [u8]>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        match this.inner.as_pin_mut() {
            Some(inner) => inner.poll_frame(cx),
            None if this.text.is_empty() => Poll::Ready(None),
            None => {
                let text = mem::take(this.text).as_bytes();
                Poll::Ready(Some(Ok(Frame::data(text.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let own = self.text.is_empty();
        self.inner.as_ref().map_or(own, Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(self.text.len() as u64),
        }
    }
}
