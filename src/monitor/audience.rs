//! All who are connected to a monitor, and what they have not taken yet.
//!
//! Output and the end are packets on one socket, so that the end comes after
//! all output. Nothing here waits for a client: what its socket does not take
//! stays in its queue, and while a queue is not empty the keeper reads no
//! output. So the queues hold one buffer each, the container waits for those
//! who look at it, and every one of them gets all of it, in order.
//!
//! Whoever started the container in the foreground is waited for without a
//! limit, like the reader of a pipe. One who came later and takes nothing for
//! [`PATIENCE`] is let go: nobody can stop somebody else's container by
//! looking at it.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::sys::socket;

use super::Exit;
use super::log::Stream;
use super::message::{ToClient, encode, tag};

/// How long a container waits for a client that takes nothing.
const PATIENCE: Duration = Duration::from_secs(3);

/// How somebody came to be connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It started the container.
    Caller,
    /// It came later, and may go.
    Visitor,
}

/// Somebody who is connected.
#[derive(Debug)]
pub(super) struct Peer {
    socket: OwnedFd,
    pub(super) role: Role,
    /// It is shown the output.
    pub(super) watches: bool,
    /// It has the container's input.
    pub(super) types: bool,
    /// It is told that it has nothing more to wait for, and then goes.
    pub(super) leaves: bool,
    /// The container stands still for it.
    pub(super) holds: bool,
    /// It has gone, or must.
    gone: bool,
    queue: VecDeque<Vec<u8>>,
    /// Since when it has taken nothing of its queue.
    waiting: Option<Instant>,
}

impl AsFd for Peer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Peer {
    fn new(socket: OwnedFd, role: Role) -> Self {
        Self {
            socket,
            role,
            watches: false,
            types: false,
            leaves: false,
            holds: false,
            gone: false,
            queue: VecDeque::new(),
            waiting: None,
        }
    }

    /// Sends `parts` as one packet, now or when there is room.
    fn push(&mut self, parts: &[&[u8]]) {
        if self.gone || (self.queue.is_empty() && self.send(parts)) {
            return;
        }
        self.waiting.get_or_insert_with(Instant::now);
        self.queue.push_back(parts.concat());
    }

    /// True unless the packet has to wait.
    fn send(&mut self, parts: &[&[u8]]) -> bool {
        let parts: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        match socket::send_now(&self.socket, &parts) {
            Ok(sent) => sent,
            Err(_) => {
                self.gone = true;
                true
            }
        }
    }

    /// Sends what waits, as far as there is room.
    fn deliver(&mut self) {
        while let Some(packet) = self.queue.pop_front() {
            if !self.send(&[&packet]) {
                self.queue.push_front(packet);
                break;
            }
            self.waiting = (!self.queue.is_empty()).then(Instant::now);
        }
        if self.knows() || self.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
            self.gone = true;
        }
        if self.gone {
            self.queue.clear();
        }
    }

    /// Whether it has been told of the end.
    pub(super) fn knows(&self) -> bool {
        self.leaves && self.queue.is_empty()
    }

    fn deadline(&self) -> Option<Instant> {
        (self.role == Role::Visitor).then_some(self.waiting? + PATIENCE)
    }
}

/// All who are connected.
#[derive(Debug, Default)]
pub(super) struct Audience {
    peers: Vec<Peer>,
}

impl Audience {
    /// Lets somebody in.
    pub(super) fn admit(&mut self, socket: OwnedFd, role: Role) -> &mut Peer {
        self.peers.push(Peer::new(socket, role));
        let last = self.peers.len() - 1;
        &mut self.peers[last]
    }

    /// What to wait for, in the order of the numbers of [`Audience::peer`].
    pub(super) fn descriptors(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.peers.iter().map(|peer| {
            let room = if peer.queue.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            PollFd::new(&peer.socket, PollFlags::IN | room)
        })
    }

    /// One of them.
    pub(super) fn peer(&mut self, number: usize) -> &mut Peer {
        &mut self.peers[number]
    }

    /// Takes note that the container goes on, whoever wanted it to stand still.
    pub(super) fn release(&mut self) {
        self.peers.iter_mut().for_each(|peer| peer.holds = false);
    }

    /// Shows output to all who watch.
    pub(super) fn show(&mut self, stream: Stream, bytes: &[u8]) {
        for peer in self.peers.iter_mut().filter(|peer| peer.watches) {
            peer.push(&[&[tag(stream)], bytes]);
        }
    }

    /// Sends what waits; no output must be read while something still does.
    pub(super) fn deliver(&mut self) {
        self.peers.iter_mut().for_each(Peer::deliver);
    }

    /// Whether something waits for room, but for those who leave: nothing more
    /// comes to them.
    pub(super) fn is_behind(&self) -> bool {
        self.peers.iter().any(|peer| !peer.queue.is_empty() && !peer.leaves)
    }

    /// When somebody's patience ends.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.peers.iter().filter_map(Peer::deadline).min()
    }

    /// Takes note that one of them has gone.
    pub(super) fn lose(&mut self, number: usize) {
        self.peers[number].gone = true;
    }

    /// Lets those go that have gone.
    pub(super) fn take_gone(&mut self) -> Vec<Peer> {
        self.peers.extract_if(.., |peer| peer.gone).collect()
    }

    /// Tells all that the container has ended which is to be started again. Who
    /// was shown its output goes when it knows, and nobody waits for that;
    /// others may still have something to say.
    pub(super) fn dismiss(&mut self, exit: Exit) {
        let end = encode(&ToClient::Exited(exit));
        for peer in &mut self.peers {
            peer.push(&[&end]);
            peer.leaves |= peer.watches;
            (peer.watches, peer.types) = (false, false);
        }
        self.deliver();
    }

    /// Tells all that the container has ended, and stays until they know: true
    /// if whoever started it does.
    pub(super) fn close(mut self, exit: Exit) -> bool {
        let end = encode(&ToClient::Exited(exit));
        self.peers.iter_mut().filter(|peer| !peer.leaves).for_each(|peer| peer.push(&[&end]));
        let mut caller_knows = false;
        loop {
            self.deliver();
            self.take_gone();
            let told: Vec<Peer> = self.peers.extract_if(.., |peer| peer.queue.is_empty()).collect();
            caller_knows |= told.iter().any(|peer| peer.role == Role::Caller);
            if self.peers.is_empty() {
                return caller_knows;
            }
            let mut fds: Vec<PollFd<'_>> =
                self.peers.iter().map(|peer| PollFd::new(&peer.socket, PollFlags::OUT)).collect();
            let wait = self.deadline().and_then(|deadline| {
                Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok()
            });
            if rustix::io::retry_on_intr(|| poll(&mut fds, wait.as_ref())).is_err() {
                return caller_knows;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(socket: &OwnedFd) -> Vec<u8> {
        let mut buffer = vec![0; socket::next_length(socket).unwrap()];
        let (length, _) = socket::receive(socket, &mut buffer).unwrap();
        buffer.truncate(length);
        buffer
    }

    #[test]
    fn all_output_comes_before_the_end() {
        let (mine, theirs) = socket::pair().unwrap();
        let mut audience = Audience::default();
        audience.admit(mine, Role::Caller).watches = true;
        let chunk = vec![b'x'; 30_000];
        let mut shown = 0;
        while !audience.is_behind() {
            audience.show(Stream::Stdout, &chunk);
            shown += 1;
        }
        audience.show(Stream::Stderr, b"last");
        let reader = std::thread::spawn(move || {
            let packets = std::iter::repeat_with(|| packet(&theirs));
            packets.take_while(|packet| !packet.is_empty()).collect::<Vec<_>>()
        });
        let exit = Exit { status: 7, oom_killed: false, restarts: false };
        assert!(audience.close(exit));
        let packets = reader.join().unwrap();
        assert_eq!(packets.len(), shown + 2);
        assert!(packets[..shown].iter().all(|packet| packet.len() == 30_001));
        assert_eq!(packets[shown], [&[tag(Stream::Stderr)][..], b"last"].concat());
        assert_eq!(packets[shown + 1], encode(&ToClient::Exited(exit)));
    }

    #[test]
    fn a_visitor_that_takes_nothing_is_let_go() {
        let (mine, theirs) = socket::pair().unwrap();
        let mut audience = Audience::default();
        audience.admit(mine, Role::Visitor).watches = true;
        while !audience.is_behind() {
            audience.show(Stream::Stdout, &[b'x'; 30_000]);
        }
        audience.deliver();
        assert!(audience.take_gone().is_empty() && audience.deadline().is_some());
        audience.peers[0].waiting = Instant::now().checked_sub(PATIENCE);
        audience.deliver();
        assert_eq!(audience.take_gone().len(), 1);
        assert!(!audience.is_behind());
        drop(theirs);
    }

    #[test]
    fn whoever_has_gone_keeps_nobody_waiting() {
        let (mine, theirs) = socket::pair().unwrap();
        let mut audience = Audience::default();
        audience.admit(mine, Role::Caller).watches = true;
        drop(theirs);
        audience.show(Stream::Stdout, b"x");
        assert!(!audience.is_behind());
        assert_eq!(audience.take_gone().len(), 1);
        assert!(!audience.close(Exit { status: 0, oom_killed: false, restarts: false }));
    }

    #[test]
    fn whoever_is_dismissed_keeps_nobody_waiting_and_is_told_all() {
        let (mine, theirs) = socket::pair().unwrap();
        let mut audience = Audience::default();
        audience.admit(mine, Role::Caller).watches = true;
        let mut shown = 0;
        while !audience.is_behind() {
            audience.show(Stream::Stdout, &[b'x'; 30_000]);
            shown += 1;
        }
        let exit = Exit { status: 1, oom_killed: false, restarts: true };
        audience.dismiss(exit);
        assert!(!audience.is_behind() && audience.take_gone().is_empty());
        audience.show(Stream::Stdout, b"of the next run");
        for _ in 0..shown {
            assert_eq!(packet(&theirs).len(), 30_001);
            audience.deliver();
        }
        assert_eq!(packet(&theirs), encode(&ToClient::Exited(exit)));
        audience.deliver();
        assert_eq!(audience.take_gone().len(), 1);
    }
}
