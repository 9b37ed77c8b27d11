//! The binary: arguments to the front end, exit codes.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // The allocator's arenas ask for huge pages, which would make a cockpit of 20 MiB one of 60.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    quarterdeck::front::cli::main()
}
