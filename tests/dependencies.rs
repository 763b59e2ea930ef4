//! That the versions which `src/dependencies.md` names are those that are built.

const MANIFEST: &str = include_str!("../Cargo.toml");
const PAGE: &str = include_str!("../src/dependencies.md");

/// The version that the manifest asks for.
fn version_of(name: &str) -> &'static str {
    let dependencies = MANIFEST
        .split("[dependencies]")
        .nth(1)
        .expect("dependencies");
    let of_it = |line: &&str| line.split([' ', '=']).next() == Some(name);
    let line = dependencies.lines().find(of_it);
    let line = line.unwrap_or_else(|| panic!("no `{name}`"));
    let version = line.split("version = ").nth(1).unwrap_or(line);
    version.split('"').nth(1).expect("a version")
}

#[test]
fn the_versions_are_those_of_the_manifest() {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `"));
    let mut crates = 0;
    for row in rows {
        let mut cells = row.split('|').skip(1);
        let (names, version) = (cells.next().unwrap(), cells.next().unwrap());
        let version = version.trim().split(',').next().unwrap();
        let names = names.split('(').next().unwrap();
        for name in names.split('`').skip(1).step_by(2) {
            let built = version_of(name);
            let is_it = built == version || built.starts_with(&format!("{version}."));
            assert!(is_it, "`{name}` is said to be {version} and is {built}");
            crates += 1;
        }
    }
    assert!(crates > 15, "{crates}");
}

/// An app that uses it from here has no other version of it.
#[test]
fn prometheus_client_is_the_one_that_is_re_exported() {
    use tower_openmetrics::MetricsLayer;
    use tower_openmetrics::prometheus_client::metrics::counter::Counter;

    let layer = MetricsLayer::new([("endpoint", "a")]);
    let rows: prometheus_client::metrics::counter::Counter =
        layer.register("rows", "Rows", Counter::default()).unwrap();
    rows.inc();
}
