//! What the pages of a shelf ask for besides: one style, one script, one icon.

/// The style, in light and dark.
pub const STYLE: &str = include_str!("style.css");

/// The script: filtering while one types, choosing runs, and following what is being made. The pages are whole without it.
pub const SCRIPT: &str = include_str!("serve.js");

/// The icon.
pub const ICON: &str = include_str!("icon.svg");
