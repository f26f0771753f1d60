//! The program: everything is in the library, so that tests and fuzzers can reach it.

/// The loader runs this before Rust's own start. The compiler cannot check the place of the pointer; what it points to
/// is safe code that uses nothing of the standard library.
#[allow(unsafe_code)]
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = linux_patch::system::streams::open_closed_streams;

fn main() -> linux_patch::model::exit_code::ExitCode {
    linux_patch::run(std::env::args_os().collect())
}
