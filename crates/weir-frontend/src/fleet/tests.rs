//! The fleet's logic on its own: single steps here, whole fleets over a simulated network in `converge`.

mod converge;
pub(super) mod network;
mod steps;
