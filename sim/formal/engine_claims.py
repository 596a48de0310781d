"""Claims about what stands around units: ends of the array, the engine, its DMA, the encoder."""

from __future__ import annotations

from dataclasses import replace

from sqhw.config import ArrayConfig, EngineConfig, PEConfig
from sqhw.dma.axi import AXIDMAEngine
from sqhw.dma.config import DMAConfig
from sqhw.encoder.config import EncoderConfig
from sqhw.encoder.selection import Selection
from sqhw.engine.unpack_banks import DenseBanks
from sqhw.engine.unpack_groups import DenseGroups
from sw_reference.format import DenseFormat, SQFormat

from .array import DrainProof, LockstepProof, SerialOutputProof
from .bursts import BurstReaderProof, BurstWriterProof
from .control import ControlProof
from .engine import SequencerProof
from .gearbox import GearboxProof
from .loader import LoaderProof
from .masters import MASTER_BUGS, MastersProof
from .prove import Build, Proof
from .registers import RegisterFileProof
from .rows import RowFeederProof, RowLoaderProof
from .selection import SELECTION_BUGS, SelectionProof
from .ways import XLoaderProof

__all__ = ["ENGINE_PROOFS"]

_ARRAY = ArrayConfig(PEConfig(SQFormat(4, 2, "int8"), DenseFormat(4), 4, 1, 16), rows=2, columns=1)
_LONG_ARRAY = replace(_ARRAY, pe=replace(_ARRAY.pe, pipeline="long"))
_ENGINE = EngineConfig(
    ArrayConfig(PEConfig(SQFormat(8, 1, "int8"), DenseFormat(4), 4, 1, 8), rows=2, columns=2),
    axi_bits=32,
    block_tiles=1,
    m_max=4,
    n_max=4,
    output_stages=1,
)
_ONE_STEP_ENGINE = EngineConfig(
    ArrayConfig(
        PEConfig(SQFormat(4, 1, "int8", "index", "e1m0s"), DenseFormat(4, 4, scale="linear8"), 4, 1, 16), 2, 2
    ),
    axi_bits=32,
    block_tiles=1,
    m_max=4,
    n_max=4,
    output_stages=1,
)
_BANKS_ENGINE = replace(
    _ONE_STEP_ENGINE,
    array=replace(
        _ONE_STEP_ENGINE.array,
        pe=replace(_ONE_STEP_ENGINE.pe, dense=DenseFormat(4, 4, 1, 4, scale="linear8", mask="index")),
    ),
)
_ROWS_ENGINE = EngineConfig(
    ArrayConfig(
        PEConfig(
            SQFormat(4, 1, "int8", "index", "e1m0s"),
            DenseFormat(4, 4, 1, 4, scale="linear8", mask="index"),
            4,
            1,
            32,
        ),
        2,
        2,
    ),
    axi_bits=64,
    block_tiles=2,
    m_max=8,
    n_max=4,
    output_stages=1,
    encoder=2,
)
_SHORT_ROWS_ENGINE = replace(
    _ROWS_ENGINE, array=replace(_ROWS_ENGINE.array, pe=replace(_ROWS_ENGINE.array.pe, k_max=16))
)
_MASTERS = DMAConfig(_ENGINE, address_bits=16, burst=2)
_ENCODER = EncoderConfig(SQFormat(4, 2, "int8", "index", "e1m0s"), 2, 4)


def _selection_with_bug(kind: type[Selection]) -> Build:
    return lambda: SelectionProof(_ENCODER, kind)


def _masters_with_bug(kind: type[AXIDMAEngine]) -> Build:
    return lambda: MastersProof(_MASTERS, kind)


ENGINE_PROOFS: tuple[Proof, ...] = (
    Proof(
        "lockstep",
        "every beat of all rows meets one beat of all columns, in order, each row's outliers once; rows "
        "end beats together, in as many steps as a beat has elements at most",
        lambda: LockstepProof(_ARRAY),
        depth=8,
        induction=False,
        bugs={
            "step lost": lambda: LockstepProof(_ARRAY, bug="lost"),
            "beat doubled": lambda: LockstepProof(_ARRAY, bug="doubled"),
        },
    ),
    Proof(
        "drain",
        "tiles leave whole, row by row, in order, each with its errors; none lost or doubled",
        lambda: DrainProof(_ARRAY),
        depth=16,
        induction=False,
        bugs={
            "room not looked for": lambda: DrainProof(_ARRAY, bug="full"),
            "row doubled": lambda: DrainProof(_ARRAY, bug="doubled"),
        },
    ),
    Proof(
        "long_drain",
        "as `drain`, in a long pipeline, where a register decides on what is captured",
        lambda: DrainProof(_LONG_ARRAY),
        depth=16,
        induction=False,
        bugs={
            "room not looked for": lambda: DrainProof(_LONG_ARRAY, bug="full"),
            "row doubled": lambda: DrainProof(_LONG_ARRAY, bug="doubled"),
        },
    ),
    Proof(
        "serial_output_stage",
        "one result per sum, with its error, held until it is taken; no sum is taken before",
        lambda: SerialOutputProof(12),
        depth=2,
        bugs={"sum taken too early": lambda: SerialOutputProof(12, bug="eager")},
        reach=4,
        cut=("stage/integer",),
    ),
    Proof(
        "control",
        "error flags exactly when due; while streams move every job ends and says so, in time, and each "
        "start has exactly one event; recovery takes effect whenever it is asked for",
        lambda: ControlProof(_ENGINE),
        depth=28,
        bugs={
            "flag lost": lambda: ControlProof(_ENGINE, bug="flag"),
            "packet left open": lambda: ControlProof(_ENGINE, bug="open"),
            "end without an event": lambda: ControlProof(_ENGINE, bug="quiet"),
        },
        reach=28,
    ),
    Proof(
        "control_one_step",
        "as `control`, in an engine of one-step units",
        lambda: ControlProof(_ONE_STEP_ENGINE),
        depth=28,
        bugs={"packet left open": lambda: ControlProof(_ONE_STEP_ENGINE, bug="open")},
        reach=28,
    ),
    Proof(
        "sequencer",
        "every tile once, beat by beat, then idle, in time; after an abort the tile at hand is finished "
        "and none begins",
        lambda: SequencerProof(_ENGINE),
        depth=20,
        induction=False,
        bugs={
            "last tile not told": lambda: SequencerProof(_ENGINE, bug="last"),
            "operands not heard of": lambda: SequencerProof(_ENGINE, bug="deaf"),
        },
        reach=20,
    ),
    Proof(
        "loader",
        "each row is written to its place once, a tile is told with its last row; idle after the last "
        "pass, in time, and from an abort on",
        lambda: LoaderProof(_ENGINE),
        depth=60,
        induction=False,
        bugs={
            "row to another buffer": lambda: LoaderProof(_ENGINE, bug="row"),
            "room not heard of": lambda: LoaderProof(_ENGINE, bug="deaf"),
        },
        reach=40,
    ),
    Proof(
        "loader_groups",
        "as `loader`, of rows that are cut into pieces of several groups",
        lambda: LoaderProof(_ONE_STEP_ENGINE, DenseGroups),
        depth=40,
        induction=False,
        bugs={"room not heard of": lambda: LoaderProof(_ONE_STEP_ENGINE, DenseGroups, bug="deaf")},
        reach=40,
    ),
    Proof(
        "loader_banks",
        "as `loader`, of rows with outliers by index",
        lambda: LoaderProof(_BANKS_ENGINE, DenseBanks),
        depth=40,
        induction=False,
        bugs={"row to another buffer": lambda: LoaderProof(_BANKS_ENGINE, DenseBanks, bug="row")},
        reach=40,
    ),
    Proof(
        "row_feeder",
        "rows of numbers leave whole, word by word, zeros behind them; nothing is taken beyond the packet, "
        "and one that ends early or late is noticed exactly then",
        lambda: RowFeederProof(_ROWS_ENGINE),
        depth=4,
        bugs={
            "padding not cleared": lambda: RowFeederProof(_ROWS_ENGINE, bug="padding"),
            "word does not wait": lambda: RowFeederProof(_ROWS_ENGINE, bug="hasty"),
            "end not heard of": lambda: RowFeederProof(_ROWS_ENGINE, bug="endless"),
        },
    ),
    Proof(
        "row_loader",
        "whatever an encoder makes of rows: banks and scales are written to their places once, within the "
        "buffers, a tile is told with its last row; idle behind the last row, and from an abort on",
        lambda: RowLoaderProof(_ROWS_ENGINE),
        depth=22,
        induction=False,
        bugs={
            "row to another buffer": lambda: RowLoaderProof(_ROWS_ENGINE, bug="row"),
            "bits of a bank changed": lambda: RowLoaderProof(_ROWS_ENGINE, bug="bank"),
            "scale of another row": lambda: RowLoaderProof(_ROWS_ENGINE, bug="scale"),
        },
        cut=RowLoaderProof.CUT,
    ),
    Proof(
        "x_loader",
        "in jobs of packed rows and of numbers in turn, words go the way of their job, rows and scales are "
        "written to their places once and come from there, within the room; none after an abort",
        lambda: XLoaderProof(_SHORT_ROWS_ENGINE),
        depth=22,
        induction=False,
        bugs={
            "row to another buffer": lambda: XLoaderProof(_SHORT_ROWS_ENGINE, bug="row"),
            "way of the job before": lambda: XLoaderProof(_SHORT_ROWS_ENGINE, bug="stale"),
            "room not looked for": lambda: XLoaderProof(_SHORT_ROWS_ENGINE, bug="full"),
        },
        reach=24,
        cut=XLoaderProof.CUT,
    ),
    Proof(
        "register_file",
        "reads and writes are answered once, in time, as the map says; a register is what was written or set",
        RegisterFileProof,
        depth=10,
        induction=False,
        bugs={
            "part of a word obeyed": lambda: RegisterFileProof(bug="strobe"),
            "answer doubled": lambda: RegisterFileProof(bug="twice"),
        },
    ),
    Proof(
        "dma.reader",
        "bursts are legal, their words have room, packets leave whole and in order",
        BurstReaderProof,
        depth=14,
        induction=False,
        bugs={"address of another word": lambda: BurstReaderProof(bug="shifted")},
    ),
    Proof(
        "dma.writer",
        "bursts are legal, hold what they announce, within the room; busy until all is answered",
        BurstWriterProof,
        depth=14,
        induction=False,
        bugs={
            "address of another word": lambda: BurstWriterProof(bug="shifted"),
            "end of a burst unmarked": lambda: BurstWriterProof(bug="unmarked"),
        },
    ),
    Proof(
        "dma.masters",
        "whatever registers say: addresses and words stay until they are taken, bursts stay in their pages "
        "and packets, no more is asked for than there is room for, an end is told once, when all is answered",
        lambda: MastersProof(_MASTERS),
        depth=2,
        bugs={name: _masters_with_bug(kind) for name, kind in MASTER_BUGS.items()},
        reach=24,
        cut=MastersProof.CUT,
    ),
    Proof(
        "gearbox",
        "bytes leave once and in order; a packet that ends early or late is noticed exactly then",
        GearboxProof,
        depth=10,
        induction=False,
        bugs={
            "bytes exchanged": lambda: GearboxProof(bug="lost"),
            "end not heard of": lambda: GearboxProof(bug="late"),
        },
    ),
    Proof(
        "encoder.selection",
        "the slots of a bank hold its largest elements and no zero, of equal ones the first, in order of "
        "index, and its sides the largest other magnitude of either sign",
        lambda: SelectionProof(_ENCODER),
        depth=9,
        induction=False,
        bugs={name: _selection_with_bug(kind) for name, kind in SELECTION_BUGS.items()},
        reach=9,
    ),
)
"""In the order of the report; claims.py has those about units."""
