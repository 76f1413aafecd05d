//! UDPcast's messages, byte by byte.
