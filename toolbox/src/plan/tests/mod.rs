//! Plans over whole projects: fixtures as text, and a simulator that carries plans out.

mod carry;
mod converge;
mod fixtures;
mod values;
mod world;
