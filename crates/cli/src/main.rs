//! The program `ithn`; see the library of the same package.

use std::process::ExitCode;

fn main() -> ExitCode {
    ithn_cli::main()
}
