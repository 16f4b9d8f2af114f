"""Which of the received messages are printed, and when there are enough of them: -R, -T, --retained-only,
--remove-retained and -C."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from mosq.core import lib

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.cli.output import Received


class Selection:
    """`over`: no more messages are wanted. `left`: how many are, 0: any number. `remove` is called with the topic of
    each retained message that --remove-retained means; the messages that -R hides are among them."""

    __slots__ = ("over", "left", "_retained_only", "_no_retained", "_filters_out", "_remove")

    def __init__(
        self,
        *,
        count: int = 0,
        retained_only: bool = False,
        no_retained: bool = False,
        filters_out: Sequence[bytes] = (),
        remove: Callable[[bytes], object] | None = None,
    ) -> None:
        self.over = False
        self.left = count
        self._retained_only = retained_only
        self._no_retained = no_retained
        self._filters_out = filters_out
        self._remove = remove

    @property
    def takes_all(self) -> bool:
        """Whether no message has to be looked at: `counted` does then instead of `choose`."""
        return not (self._retained_only or self._no_retained or self._filters_out or self._remove)

    def choose(self, messages: Iterable[Received]) -> Iterator[Received]:
        """The messages to be printed."""
        for message in messages:
            if self._retained_only and not message.retain:
                self.over = True
            if self.over:
                return
            if self._filters_out and self._is_filtered_out(message.topic):
                continue
            if message.retain:
                if self._remove:
                    self._remove(message.topic)
                if self._no_retained:
                    continue
            yield message
            self.counted(1)

    def counted(self, n: int) -> None:
        """So many messages have been printed."""
        if self.left:
            self.left = max(0, self.left - n)
            self.over = not self.left

    def _is_filtered_out(self, topic: bytes) -> bool:
        return any(lib.mq_topic_matches(each, len(each), topic, len(topic)) for each in self._filters_out)
