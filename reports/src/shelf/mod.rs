//! The runs of a folder as a shelf: what each says in a line, which is being made, and the pages that show them.

mod assets;
mod list;
mod live_page;
mod message;
mod name;
mod row;
mod rows;

pub use assets::{ICON, SCRIPT, STYLE};
pub use list::{Order, Wanted, page as list_page};
pub use live_page::page as live_page;
pub use message::page as message_page;
pub use name::RunName;
pub use row::{Row, State, TaxLine};
pub use rows::Shelf;
