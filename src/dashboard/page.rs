use bytes::Bytes;

const HTML: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = concat!(
    include_str!("read.js"),
    include_str!("history.js"),
    include_str!("view.js"),
    include_str!("draw.js"),
    include_str!("tell.js"),
    include_str!("main.js"),
);

// None of these is within a string.
const STYLE_SIGNS: &[&str] = &[": ", "; ", ", ", " {", "{ ", " }"];
const SCRIPT_SIGNS: &[&str] = &[" = ", " => ", " === ", " && ", " || ", " ?? "];

/// Allows the script and the style of the page by their hashes. `tests/dashboard.rs` tells what they are when these files
/// have changed.
pub(super) const POLICY: &str = "default-src 'none'; \
    script-src 'sha256-dV6SblK5oyDUBxK6QELFigEfCNyNRyul+kTG6A17OFw='; \
    style-src 'sha256-W+dKPAOx6ROSojNAt/75rW7pEeWtH8QG42MiZlXVono='; \
    img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// The page whose numbers come from `metrics_path`.
pub(super) fn page(metrics_path: &str) -> Bytes {
    // The path is last: it may hold anything.
    terse(HTML)
        .replacen("{style}", &dense(STYLE, STYLE_SIGNS), 1)
        .replacen("{script}", &dense(SCRIPT, SCRIPT_SIGNS), 1)
        .replacen("{metrics}", &attribute(metrics_path), 1)
        .into()
}

/// Without the comments and the indentation, which a browser has no use for.
fn terse(text: &str) -> String {
    let lines = text.lines().map(str::trim_start);
    let code = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    code.flat_map(|line| [line, "\n"]).collect()
}

/// Without the blanks around signs that need none.
fn dense(text: &str, signs: &[&str]) -> String {
    let text = terse(text);
    signs
        .iter()
        .fold(text, |text, sign| text.replace(sign, sign.trim()))
}

/// `text` as it is written between double quotes in HTML.
fn attribute(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('"', "&quot;");
    escaped.replace('<', "&lt;").replace('>', "&gt;")
}
