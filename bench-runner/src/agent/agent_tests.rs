//! Agents on loopback, in this process: who is let in, what is said to whom, and clocks that are bent.

