//! Finding the real Envoy of this machine.

use scenarios::proxy::envoy::find;

#[test]
fn what_is_found_is_the_program_itself_with_its_version() {
    let program = match find(None) {
        Ok(program) => program,
        Err(error) => {
            assert!(std::env::var_os("REQUIRE_PROXIES").is_none(), "{error}");
            eprintln!("skipped: {error} (set REQUIRE_PROXIES=1 to fail)");
            return;
        }
    };
    let begin = std::fs::read(&program.path).unwrap()[..4].to_vec();
    assert_eq!(begin, b"\x7fELF");
    assert!(program.version.split('.').count() >= 3, "{program:?}");
    assert!(["RELEASE", "DEBUG"].contains(&program.build.as_str()), "{program:?}");
    assert_eq!(find(Some(&program.path)).unwrap(), program);
}
