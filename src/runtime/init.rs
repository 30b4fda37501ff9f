//! envbox's init: the small program that is PID 1 of a container.

/// The program, a static executable of the container's own architecture.
pub static PROGRAM: &[u8] = &[];
