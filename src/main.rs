//! The binary: the command line and nothing else.

fn main() {
    std::process::exit(envbox::cli::run(std::env::args_os()));
}
