//! Fence 2: the kernel. The only folder in which `unsafe` may stand. Takes
//! borrowed descriptors, returns owned ones, turns errno into `io::Error`,
//! and knows nothing of images or containers.

#![allow(unsafe_code)]
