//! An image and the host it runs on: whether they fit. For now what an ELF
//! file was built for; it neither opens files nor asks the kernel.

pub mod elf;
