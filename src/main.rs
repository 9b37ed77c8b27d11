//! The binary: arguments to the front end, exit codes.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    quarterdeck::front::cli::main()
}
