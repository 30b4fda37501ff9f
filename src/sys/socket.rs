//! Sockets between two processes of ours: whole messages, and descriptors
//! beside them (unix(7), `SOCK_SEQPACKET` and `SCM_RIGHTS`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// A connected pair of sockets: the parent's end and the child's.
///
/// # Errors
/// Those of socketpair(2).
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// Sends one message, with a descriptor beside it where there is one.
///
/// # Errors
/// Those of sendmsg(2).
pub fn send(
    socket: impl AsFd,
    message: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let parts = [io::IoSlice::new(message)];
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(&socket, &parts, &mut ancillary, SendFlags::NOSIGNAL)
    })?;
    Ok(())
}

/// Sends `parts` as one message if there is room for it now; false if there is
/// none.
///
/// # Errors
/// Those of sendmsg(2): `EPIPE` if the other side is gone.
pub fn send_now(socket: impl AsFd, parts: &[io::IoSlice<'_>]) -> io::Result<bool> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let mut nothing = SendAncillaryBuffer::default();
    match rustix::io::retry_on_intr(|| rustix::net::sendmsg(&socket, parts, &mut nothing, flags)) {
        Ok(_) => Ok(true),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::NOBUFS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Waits for the next message, which stays where it is: its length, 0 at the
/// end.
///
/// # Errors
/// Those of recv(2).
pub fn next_length(socket: impl AsFd) -> io::Result<usize> {
    // MSG_TRUNC gives the length of the message, not of the buffer.
    let flags = RecvFlags::PEEK | RecvFlags::TRUNC;
    let mut nothing: [u8; 0] = [];
    loop {
        match rustix::net::recv(&socket, &mut nothing[..], flags) {
            Ok((_, length)) => return Ok(length),
            // As in `receive`.
            Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Receives one message of at most `buffer.len()` bytes; length 0 at the end.
///
/// # Errors
/// Those of recvmsg(2).
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [io::IoSliceMut::new(buffer)];
    let bytes = loop {
        let flags = RecvFlags::CMSG_CLOEXEC;
        match rustix::net::recvmsg(&socket, &mut parts, &mut ancillary, flags) {
            Ok(received) => break received.bytes,
            // A peer that ended with something unread. The error comes once,
            // and before what that peer had to say.
            Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let mut descriptor = None;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            descriptor = descriptors.into_iter().next().or(descriptor);
        }
    }
    Ok((bytes, descriptor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_a_peer_with_unread_data_arrive() {
        let (one, other) = pair().unwrap();
        send(&one, b"never read", None).unwrap();
        send(&other, b"last words", None).unwrap();
        drop(other);
        let mut buffer = [0; 64];
        assert_eq!(next_length(&one).unwrap(), 10);
        assert_eq!(receive(&one, &mut buffer).unwrap().0, 10);
        assert_eq!(receive(&one, &mut buffer).unwrap().0, 0);
    }

    #[test]
    fn the_length_of_a_message_is_known_before_it_is_received() {
        let (here, there) = pair().unwrap();
        let text = vec![b'x'; 100_000];
        send(&there, &text, Some(there.as_fd())).unwrap();
        drop(there);
        let length = next_length(&here).unwrap();
        assert_eq!(length, text.len());
        let mut buffer = vec![0; length];
        let (length, descriptor) = receive(&here, &mut buffer).unwrap();
        assert_eq!(buffer[..length], text);
        drop(descriptor.unwrap());
        assert_eq!(next_length(&here).unwrap(), 0);
    }
}
