//! `maru-dev`: the whole platform on one machine, with one command.

fn main() -> std::process::ExitCode {
    devstack::run()
}
