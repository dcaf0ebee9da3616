"""The reference client: a folder of photos on another computer, sent to a server by the public protocol."""
