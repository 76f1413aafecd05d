//! Takes so many turns of a piece of work, and nothing else, for callgrind to count.

#![forbid(unsafe_code)]

use std::env;
use std::process::ExitCode;

use ironcast_bench::work::PIECES;

fn main() -> ExitCode {
    let mut words = env::args().skip(1);
    let name = words.next().unwrap_or_default();
    let turns = words.next().and_then(|word| word.parse::<u32>().ok());
    let piece = PIECES.iter().find(|piece| piece.name == name);
    let (Some(piece), Some(turns)) = (piece, turns) else {
        eprintln!("usage: ironcast-turns PIECE TURNS");
        return ExitCode::FAILURE;
    };
    let mut turn = (piece.make)();
    for _ in 0..turns {
        turn();
    }
    ExitCode::SUCCESS
}
