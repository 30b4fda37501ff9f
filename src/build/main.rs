//! The build script: turns what is data in the source tree into what the
//! binary embeds. One file a product; each writes into `OUT_DIR`.

mod init;
mod seccomp;

fn main() {
    init::compile();
    seccomp::compile();
}
