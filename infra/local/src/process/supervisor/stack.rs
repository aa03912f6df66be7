//! The supervisor's side of the channel to the stack.

use std::{
    io::{self, Write},
    os::{fd::AsFd, unix::net::UnixStream},
};

use tokio::io::AsyncReadExt;

use super::Order;

/// Where orders come from. Its end means that the stack is gone.
pub(super) struct Orders {
    channel: tokio::net::UnixStream,
    closed: bool,
}

/// Where the stack is told that there are new events.
pub(super) struct News(UnixStream);

/// What came from the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FromStack {
    Order(Order),
    Gone,
}

/// This process's standard input, which the stack made a socket.
pub(super) fn channel_on_stdin() -> io::Result<UnixStream> {
    Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
}

/// Both directions of the channel to the stack.
pub(super) fn connect() -> io::Result<(Orders, News)> {
    let channel = channel_on_stdin()?;
    channel.set_nonblocking(true)?;
    let news = News(channel.try_clone()?);
    Ok((Orders { channel: tokio::net::UnixStream::from_std(channel)?, closed: false }, news))
}

impl Orders {
    /// The next order. After the end of the channel, which is told once, nothing comes any more.
    pub(super) async fn next(&mut self) -> FromStack {
        if self.closed {
            return std::future::pending().await;
        }
        let mut byte = [0];
        while let Ok(1) = self.channel.read(&mut byte).await {
            if let Some(order) = Order::from_byte(byte[0]) {
                return FromStack::Order(order);
            }
        }
        self.closed = true;
        FromStack::Gone
    }
}

impl News {
    /// Wakes the stack. When the channel is full it has yet to wake from earlier news, and when it is gone
    /// nobody must be told.
    pub(super) fn tell(&mut self) {
        let _full_or_gone = self.0.write(b".");
    }
}
