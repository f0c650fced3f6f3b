"""Units of time, in microseconds: the unit of every moment and duration in the program."""

from typing import Final

MS_US: Final = 1_000
SECOND_US: Final = 1_000 * MS_US
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US
