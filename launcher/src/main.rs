fn main() -> std::process::ExitCode {
    nunchi::cli::main()
}
