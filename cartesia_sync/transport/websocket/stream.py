"""A socket that never blocks, in clear or over TLS, and that gives up the GIL as seldom as possible.

Each call of ``socket`` and ``SSLSocket`` releases the GIL, and beside a thread that computes it takes 5 ms to get it
back. So one recv takes all that is there, by a call that keeps the GIL where there is one; and TLS is decrypted in
memory, record by record, rather than by two system calls for each.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from typing import Callable, Optional, Union

_READ_BYTES = 1 << 16
_RECORD_BYTES = 1 << 14
"""What one TLS record holds at most (RFC 8446, 5.1)."""

NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)
"""For each send: where the peer has gone, the call fails, whatever the program does with SIGPIPE."""


def never_signal(sock: socket.socket) -> None:
    """Do as ``NO_SIGNAL`` does where it is an option of the socket (macOS), and not of the call."""
    option = getattr(socket, "SO_NOSIGPIPE", None)
    if option is not None:
        sock.setsockopt(socket.SOL_SOCKET, option, 1)


class Stream:
    """A socket in clear.

    Attributes:
        is_drained: Whether the last ``recv_into`` took all that there was, so that the next would find nothing without
            a wait.

    Threads: one at a time, every method but ``fileno``.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        never_signal(sock)
        self._sock = sock
        self.is_drained = False

    def fileno(self) -> int:
        """Return the descriptor, for ``poll``; -1 after ``close``."""
        return self._sock.fileno()

    def recv_into(self, buffer: memoryview) -> int:
        """Read what is there and fits, and return how much; 0 at the end of the stream.

        Raises:
            BlockingIOError: Nothing is there.
            OSError: The connection failed (ssl.SSLError included).
        """
        count = _receive(self._sock, buffer)
        self.is_drained = count < len(buffer)
        return count

    def send(self, data: Union[bytes, memoryview], counts: list[int]) -> None:
        """Send as much as leaves at once, and append to ``counts`` how much that was.

        The count is stored by C code, in the call that sends, so that an interrupt cannot come between the two: the
        same bytes would leave twice.

        Raises:
            BlockingIOError: Nothing leaves now. The same data must be offered again, before anything else.
            OSError: The connection failed.
        """
        counts.extend(map(self._sock.send, (data,), (NO_SIGNAL,)))

    @property
    def has_unsent(self) -> bool:
        """Whether something is to be sent beside our data, by TLS itself, such as the answer to a new key."""
        return False

    def flush(self) -> None:
        """Send what is to be sent, if it leaves at once.

        Raises:
            BlockingIOError: It does not.
            OSError: The connection failed.
        """

    def shutdown(self) -> None:
        """End both directions, and wake whoever waits for the descriptor.

        Raises:
            OSError: The peer was faster.
        """
        self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the descriptor. Idempotent."""
        self._sock.close()


class SecureStream(Stream):
    """A socket over TLS.

    Args:
        sock: Connected, and nothing was sent on it, unless below.
        host: The name that is asked for, and that the certificate must have.
        context: How the certificate is verified.
        below: The TLS with a proxy, over the same socket, that this one runs inside of; None where there is none.
    """

    def __init__(
        self, sock: socket.socket, host: str, context: ssl.SSLContext, *, below: Optional[SecureStream] = None
    ) -> None:
        super().__init__(sock)
        self._below = below
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._read_buffer = memoryview(bytearray(_READ_BYTES))
        self._is_tls_drained = True  # all whole records that have arrived are decrypted
        self._has_ended = False  # the TCP stream has
        self._failure: Optional[OSError] = None  # met behind bytes that came before it
        # ssl.SSLObject.write is a Python function: an interrupt could lose its result, and the data would be encrypted
        # twice. What it calls is C.
        inside = getattr(self._tls, "_sslobj", self._tls)
        self._encrypt: Callable[[Union[bytes, memoryview]], int] = inside.write
        self._encrypted: list[int] = []  # how much of the data on offer is ciphertext, until all of that has left
        self._offered_bytes = 0  # how much is being encrypted; 0 once it is known whether it was
        self._ciphertext: list[tuple[bytes, list[int]]] = []  # with how much of it each send took

    def do_handshake(self) -> None:
        """Go on with the handshake.

        Raises:
            BlockingIOError: It waits for the peer to send, and where something is unsent, also to take that.
            OSError: It failed (ssl.SSLError included).
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                self._read_ciphertext()
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    self.flush()  # the alert, which says why
                raise
            else:
                self.flush()
                return

    def recv_into(self, buffer: memoryview) -> int:
        """Read what is there and fits, however many records; otherwise as the base class."""
        self._find_encrypted()
        if self._failure is not None:
            raise self._failure
        count = 0
        has_all = False  # that the system had received
        try:
            while count < len(buffer):
                if self._is_tls_drained:
                    if has_all:
                        break
                    has_all = self._read_ciphertext()
                more = self._decrypt(buffer[count:])
                if more == 0:
                    self.is_drained = False  # the next call is to meet the end again
                    return count
                count += more or 0
        except BlockingIOError:
            has_all = True
        except OSError as error:
            if not count:
                raise
            self._failure = error  # what came before it is to be read first
        self.is_drained = self._is_tls_drained and has_all and self._failure is None
        if self.has_unsent:
            with contextlib.suppress(OSError):
                self.flush()  # what cannot leave now, and a failure, are left to those who send
        if not count:
            raise BlockingIOError("no whole record has arrived")
        return count

    def _decrypt(self, buffer: memoryview) -> Optional[int]:
        """Decrypt one record at most, and return its size; 0 at the end of the stream, None without a whole record."""
        try:
            count: int = self._tls.read(len(buffer), buffer)  # type: ignore[assignment]  # a count, where a buffer is given
            self._is_tls_drained = (
                0 < count < len(buffer) and not self._incoming.pending
            )  # which spares a call that must fail
            return count
        except ssl.SSLWantReadError:
            if self._has_ended:
                return 0
            self._is_tls_drained = True
            return None
        except ssl.SSLZeroReturnError:
            return 0
        except ssl.SSLError:
            if self._has_ended and not self._incoming.pending:
                return 0  # without TLS's close_notify, as most peers end
            raise

    def _read_ciphertext(self) -> bool:
        """Take over what the system has received, and return whether that was all."""
        if self._below is None:
            count = _receive(self._sock, self._read_buffer)
            has_all = count < len(self._read_buffer)
        else:
            count = self._below.recv_into(self._read_buffer)
            has_all = self._below.is_drained
        if count:
            self._incoming.write(self._read_buffer[:count])
        else:
            self._has_ended = True
            self._incoming.write_eof()
        self._is_tls_drained = False
        return has_all

    def send(self, data: Union[bytes, memoryview], counts: list[int]) -> None:
        """Send a record at most; it counts once all of it has left. Otherwise as the base class."""
        self.flush()
        if not self._encrypted:
            record = data[:_RECORD_BYTES]
            self._offered_bytes = len(record)
            try:
                self._encrypted.extend(map(self._encrypt, (record,)))
            except ssl.SSLWantReadError as error:  # a TLS 1.2 renegotiation waits for the peer
                self._offered_bytes = 0
                raise BlockingIOError(str(error)) from None
            self._offered_bytes = 0
        self.flush()
        counts.extend(map(self._encrypted.pop, (0,)))  # from one list to the other in one step

    def _find_encrypted(self) -> None:
        """Find out whether data was encrypted although a signal's handler raised in the call that encrypts.

        In the main thread that call itself runs the handler, after its work, and then its result is lost. All earlier
        data had left, so what TLS has to send now is the ciphertext of this data. Must come before anything that could
        change that.
        """
        if self._offered_bytes:
            if not self._encrypted and self._outgoing.pending:
                self._encrypted.append(self._offered_bytes)
            self._offered_bytes = 0

    @property
    def has_unsent(self) -> bool:
        """Whether TLS has something to send, or a record has not left whole."""
        has_own = bool(self._ciphertext) or self._outgoing.pending > 0
        return has_own or (self._below is not None and self._below.has_unsent)

    def flush(self) -> None:
        """Send what TLS has encrypted; otherwise as the base class."""
        self._find_encrypted()
        if self._below is not None:
            self._below.flush()
        while True:
            if not self._ciphertext:
                if not self._outgoing.pending:
                    return
                self._ciphertext.extend(zip(map(self._outgoing.read, (_READ_BYTES,)), ([],)))
            first, counts = self._ciphertext[0]
            sent = sum(counts)
            if sent < len(first):
                left = memoryview(first)[sent:]
                if self._below is None:
                    counts.extend(map(self._sock.send, (left,), (NO_SIGNAL,)))
                else:
                    self._below.send(left, counts)
            else:
                del self._ciphertext[0]


def _find_recv() -> Optional[Callable[[int, memoryview], int]]:
    """Return the C library's ``recv``, in a form that does not release the GIL; None where there is none."""
    try:
        import ctypes

        recv = ctypes.PyDLL(None, use_errno=True).recv
    except (ImportError, OSError, TypeError, AttributeError):  # Windows, or a Python that was built without libffi
        return None
    recv.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    recv.restype = ctypes.c_ssize_t

    def receive(descriptor: int, buffer: memoryview) -> int:
        count: int = recv(descriptor, ctypes.addressof(ctypes.c_char.from_buffer(buffer)), len(buffer), 0)
        if count < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))  # which makes it a BlockingIOError and so on
        return count

    return receive


_recv = _find_recv()


def _receive(sock: socket.socket, buffer: memoryview) -> int:
    """Read what is there, as ``recv_into`` does; the GIL is held only while the bytes are copied."""
    if _recv is None or type(sock) is not socket.socket:  # a class of its own may have a recv_into of its own
        return sock.recv_into(buffer)
    return _recv(sock.fileno(), buffer)
