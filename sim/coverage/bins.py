"""Functional coverage: what the traffic of a processing element, or of a row of an array, must have shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sim.bench.streams import STALLS, Run
from sim.traffic.dot_products import UNEQUAL, DotProduct
from sim.traffic.faults import DENSE_FAULTS, FAULTS, read_field
from sqhw.config import PEConfig
from sqhw.layouts import dense_beat_layout, sq_beat_layout
from sw_reference.format import SQFormat

__all__ = [
    "RUN_BINS", "Bins", "OperandBins", "applicable_faults", "result_bins", "sample_results", "sample_run",
]  # fmt: skip

LIMITS_FP16 = {"zero": 0x0000, "smallest": 0x0001, "largest": 0x7BFF, "most negative": 0xFBFF}


class Bins:
    """Named bins; what is hit must be one of them."""

    def __init__(self, names: Iterable[str]):
        self.counts = dict.fromkeys(names, 0)

    def hit(self, name: str, count: int = 1) -> None:
        self.counts[name] += count

    @property
    def missed(self) -> list[str]:
        return [name for name, count in self.counts.items() if not count]


def applicable_faults(config: PEConfig) -> list[str]:
    """The faults of ``FAULTS`` and ``DENSE_FAULTS`` that a configuration knows: none with an index mask."""
    if config.one_step:
        return []
    fp16 = config.sq.high == "fp16" and config.slots > 0
    bank, slots = config.dense.bank, config.dense_slots
    known = {
        "one outlier over the capacity": 0 < config.sq.outliers < config.sq.bank,
        "mask over the capacity": 0 < config.sq.outliers < config.sq.bank,
        "a high code too many": config.slots > 0,
        "a high code too few": config.slots > 0,
        "NaN": fp16,
        "infinity": fp16,
        "reserved bank scale": True,
        "end inside a bank": config.beats_per_bank > 1,
        "longer than k_max": True,
        "dense bank over the capacity": bank is not None and config.dense.outliers < bank,
        "a high nibble too many": slots > 0,
        "a high nibble too few": slots > 0,
    }
    return [name for name in (*FAULTS, *DENSE_FAULTS) if known[name]]


class OperandBins:
    """Reads SQ beats, and the dense beats that meet them, and tells what is in them."""

    def __init__(self, config: PEConfig):
        self._config = config
        self._sq, self._dense = sq_beat_layout(config), dense_beat_layout(config)

    def names(self) -> list[str]:
        config = self._config
        names = ["length: one bank" if config.banks(1) == 1 else "length: shortest", "length: k_max"]
        names += ["bank scale: smallest", "bank scale: largest"]
        names += [f"low code: {code}" for code in (config.sq.low_min, 7)]
        if config.one_step:
            names += _slot_names("slot", config.slots, config.sq.outliers)
            names += ["bank scale: negative"] if config.sq.bank_scale.signed else []
        elif config.slots:
            names += ["outlier in the first lane", "outlier in the last lane"]
            names += [f"high code: {name}" for name in self._codes()]
        if not config.one_step:
            names += _counts("outliers in a bank", config.sq.outliers, config.sq.bank)
        if config.steps > 1:
            names += ["more outliers in a beat than outlier lanes"]
        if config.dense.group:
            names += ["group scale: smallest", "group scale: largest"]
        names += [f"dense code: {code}" for code in (config.dense.code_min, config.dense.code_max)]
        if config.dense.has_index:
            names += _slot_names("dense slot", config.dense_slots, config.dense.outliers)
            names += ["slots of both operands name one element"]
        elif config.dense.bank:
            names += _counts("dense outliers in a bank", config.dense.outliers, config.dense.bank)
            names += ["dense outlier in the first lane", "dense outlier in the last lane"]
            names += ["outliers of both operands at one position", "high nibble: -8", "high nibble: 7"]
        return names

    def _codes(self) -> dict[str, int]:
        sq = self._config.sq
        if sq.high == "fp16":
            return LIMITS_FP16
        low, high = (-8, 7) if sq.in_nibbles else (-127, 127)
        return {str(code): code & ((1 << sq.high_bits) - 1) for code in (low, high)}

    def sample(self, bins: Bins, sq: Sequence[int], dense: Sequence[int], *, legal: bool) -> None:
        """Counts what a dot product holds; of a malformed one only how full its banks are."""
        masks = self._masks(sq)
        for size, bitmaps, name, most in self._banks(masks, dense):
            for at in range(0, len(bitmaps), size):
                count = sum(bitmap.bit_count() for bitmap in bitmaps[at : at + size])
                if count <= most or count == most + 1:
                    bins.hit(f"{name}: {count}")
        if legal:
            self._sample_legal(bins, sq, dense, masks)

    def _masks(self, sq: Sequence[int]) -> list[int]:
        config = self._config
        if config.one_step:
            return [0] * len(sq)  # the low codes of all elements count
        if config.sq.has_bitmap:
            return [read_field(self._sq, word, "bitmap") for word in sq]
        return [self._lanes(word, self._sq, "low", config.lanes, 4, lambda code: code == 8) for word in sq]

    @staticmethod
    def _lanes(word: int, layout: Any, name: str, lanes: int, bits: int, test: Any) -> int:
        codes = read_field(layout, word, name)
        return sum(test(codes >> bits * lane & ((1 << bits) - 1)) << lane for lane in range(lanes))

    def _banks(self, masks: list[int], dense: Sequence[int]) -> Iterable[tuple[int, list[int], str, int]]:
        config = self._config
        if not config.one_step:
            yield config.beats_per_bank, masks, "outliers in a bank", config.sq.outliers
        if config.dense.bank and not config.dense.has_index:
            bitmaps = [read_field(self._dense, word, "bitmap") for word in dense]
            parts = max(1, config.lanes // config.dense.bank)
            width = config.lanes // parts
            mask = (1 << width) - 1
            split = [bitmap >> part * width & mask for bitmap in bitmaps for part in range(parts)]
            yield config.dense.bank // width, split, "dense outliers in a bank", config.dense.outliers

    def _sample_legal(self, bins: Bins, sq: Sequence[int], dense: Sequence[int], masks: list[int]) -> None:
        config = self._config
        banks = len(sq) // config.beats_per_bank
        if banks == config.banks(1):
            bins.hit("length: one bank" if banks == 1 else "length: shortest")
        if banks == config.banks_max:
            bins.hit("length: k_max")
        for word, weights, mask in zip(sq, dense, masks, strict=True):
            self._sample_sq(bins, word, mask)
            self._sample_dense(bins, weights, mask)
            if config.one_step:
                self._sample_slots(bins, word, weights)

    def _sample_sq(self, bins: Bins, word: int, mask: int) -> None:
        config, layout = self._config, self._sq
        scale = read_field(layout, word, "scale")
        magnitude = scale & ((1 << config.sq.bank_scale.magnitude_bits) - 1)
        bins.hit("bank scale: smallest", magnitude == 0)
        bins.hit("bank scale: largest", magnitude == config.sq.bank_scale.legal[-1])
        for code in (config.sq.low_min, 7):
            found = self._lanes(word, layout, "low", config.lanes, 4, lambda c, code=code: c == code & 15)
            bins.hit(f"low code: {code}", bool(found & ~mask))
        if config.one_step:
            if config.sq.bank_scale.signed:
                bins.hit("bank scale: negative", scale != magnitude)
        elif config.slots:
            bins.hit("outlier in the first lane", mask & 1)
            bins.hit("outlier in the last lane", mask >> (config.lanes - 1))
            size, codes = config.sq.high_bits, read_field(layout, word, "high")
            used = [codes >> size * slot & ((1 << size) - 1) for slot in range(mask.bit_count())]
            for name, code in self._codes().items():
                bins.hit(f"high code: {name}", used.count(code))
        if config.steps > 1:
            bins.hit("more outliers in a beat than outlier lanes", mask.bit_count() > config.outlier_lanes)

    def _sample_slots(self, bins: Bins, word: int, weights: int) -> None:
        """Counts slots with an index mask, of either operand, and where they meet."""
        named = self._slots(bins, "slot", word, self._sq, self._config.sq)
        if self._config.dense.has_index:
            outliers = self._config.dense.outlier_format
            met = self._slots(bins, "dense slot", weights, self._dense, outliers)
            bins.hit("slots of both operands name one element", bool(named & met))

    @staticmethod
    def _slots(bins: Bins, name: str, word: int, layout: Any, fmt: SQFormat) -> set[int]:
        """Counts the slots of one operand's beat; returns the elements of the beat that they name."""
        indices, nibbles = (read_field(layout, word, field) for field in ("index", "high"))
        named = []
        for slot in range(layout["high"].width // fmt.high_bits):
            place = indices >> fmt.index_bits * slot & ((1 << fmt.index_bits) - 1)
            code = nibbles >> fmt.high_bits * slot & 15
            bins.hit(f"{name} {slot}: first of its segment", place == 0 and code != 0)
            bins.hit(f"{name} {slot}: last of its segment", place == fmt.segment_size - 1 and code != 0)
            for nibble in (-8, 0, 7):
                bins.hit(f"{name} {slot}: nibble {nibble}", code == nibble & 15)
            if code:
                named.append(slot // fmt.outliers * fmt.segment_size + place)
        if fmt.outliers > 1:
            bins.hit(f"two {name}s name one element", len(set(named)) < len(named))
        return set(named)

    def _sample_dense(self, bins: Bins, word: int, mask: int) -> None:
        config, layout = self._config, self._dense
        bits = config.dense.bits
        for code in (config.dense.code_min, config.dense.code_max):
            wanted = code & ((1 << bits) - 1)
            found = self._lanes(word, layout, "codes", config.lanes, bits, lambda c, w=wanted: c == w)
            bins.hit(f"dense code: {code}", bool(found))
        if config.dense.group:
            group_scale = read_field(layout, word, "group_scale")
            bins.hit("group scale: smallest", group_scale == 0)
            bins.hit("group scale: largest", group_scale == (1 << config.dense.group_scale_bits) - 1)
        if config.dense.bank and not config.dense.has_index:
            bitmap = read_field(layout, word, "bitmap")
            bins.hit("dense outlier in the first lane", bitmap & 1)
            bins.hit("dense outlier in the last lane", bitmap >> (config.lanes - 1))
            bins.hit("outliers of both operands at one position", bool(mask & bitmap))
            nibbles = read_field(layout, word, "high")
            used = [nibbles >> 4 * slot & 15 for slot in range(bitmap.bit_count())]
            for nibble in (-8, 7):
                bins.hit(f"high nibble: {nibble}", used.count(nibble & 15))


def _slot_names(name: str, slots: int, outliers: int) -> list[str]:
    """Of each slot with an index mask: the ends of its segment, the limits of its nibble, none."""
    names = [f"{name} {slot}: {place} of its segment" for slot in range(slots) for place in ("first", "last")]
    names += [f"{name} {slot}: nibble {nibble}" for slot in range(slots) for nibble in (-8, 0, 7)]
    return names + ([f"two {name}s name one element"] if outliers > 1 else [])


def _counts(name: str, capacity: int, bank: int) -> list[str]:
    """0 to the capacity, and one more, which is an error."""
    return [f"{name}: {count}" for count in range(min(capacity + 1, bank) + 1)]


RESULTS = ("zero", "negative", "subnormal", "infinity", "minus infinity", "NaN of 0 x infinity")
SCALES = ("subnormal", "zero", "infinite")
RUN_BINS = (*(f"stall: {kind}" for kind in STALLS), "back to back")


def result_bins(config: PEConfig) -> list[str]:
    """Bins of results: kinds of floats, products of row scales, faults and what follows them."""
    names = [f"result: {kind}" for kind in RESULTS]
    names += [f"product of row scales: {kind}" for kind in SCALES]
    names += [f"fault: {name}" for name in (*applicable_faults(config), UNEQUAL)]
    return [*names, "right result behind a fault"]


def sample_results(bins: Bins, products: Sequence[DotProduct]) -> None:
    """Counts the results of a run, all of which came as they must."""
    before = ""
    for product in products:
        if product.fault:
            bins.hit(f"fault: {product.fault}")
        else:
            bins.hit("right result behind a fault", bool(before))
            _sample_floats(bins, product)
        before = product.fault


def _sample_floats(bins: Bins, product: DotProduct) -> None:
    row, column = np.array([product.scales & 0xFFFFFFFF, product.scales >> 32], np.uint32).view(np.float32)
    with np.errstate(over="ignore", under="ignore"):
        scale = row * column
    tiny = np.finfo(np.float32).tiny
    bins.hit("product of row scales: subnormal", bool(0 < scale < tiny))
    bins.hit("product of row scales: zero", bool(scale == 0))
    bins.hit("product of row scales: infinite", bool(np.isinf(scale)))
    y = np.array([product.y], np.uint32).view(np.float32)[0]
    bins.hit("result: zero", bool(y == 0))
    bins.hit("result: negative", bool(-np.inf < y < 0))
    bins.hit("result: subnormal", bool(0 < abs(y) < tiny))
    bins.hit("result: infinity", bool(y == np.inf))
    bins.hit("result: minus infinity", bool(y == -np.inf))
    bins.hit("result: NaN of 0 x infinity", bool(np.isnan(y)))


def sample_run(bins: Bins, run: Run) -> None:
    """Counts the stalls of a run, and what followed without a gap (``RUN_BINS``)."""
    for kind, cycles in run.stalls.items():
        bins.hit(f"stall: {kind}", cycles)
    bins.hit("back to back", run.back_to_back)
