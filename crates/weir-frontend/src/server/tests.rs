//! Requests from outside, answered.
