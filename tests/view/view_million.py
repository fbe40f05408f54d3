"""A result file of a million rows, as `assay score` writes them, made column by column."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assay.runs.results import ROW_GROUP


def write_scores(path, rows, *, candidates=4, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    metadata = {"job": {"recipe": "length()"}, "summary": {"mean": 0.0, "std": 1.0}}
    kinds = dict.fromkeys(("id", "record", "status", "message", "critique"), pa.string())
    kinds |= {"response": pa.int32()} | dict.fromkeys(("value", "std", "clarity"), pa.float64())
    schema = pa.schema(
        list(kinds.items()),
        metadata={b"assay": json.dumps(metadata).encode()},
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for low in range(0, rows, ROW_GROUP):
            number = np.arange(low, min(low + ROW_GROUP, rows))
            value = rng.normal(size=len(number)) + shift * number
            failed = number % 97 == 0
            value[failed] = np.nan
            records = [f"record-{each}" for each in (number // candidates).tolist()]
            columns = {
                "id": [f"{name}/{each}" for name, each in zip(records, (number % candidates).tolist(), strict=True)],
                "record": records,
                "response": pa.array(number % candidates, pa.int32()),
                "value": pa.array(value, from_pandas=True),
                "status": np.where(failed, "timeout", "ok").tolist(),
                "message": np.where(failed, "60 s were not enough", "").tolist(),
                "std": pa.array(np.where(failed, np.nan, 0.1 + np.abs(value)), from_pandas=True),
                "clarity": pa.array(np.where(failed, np.nan, rng.random(len(number))), from_pandas=True),
                "critique": [f"critique of {each}: clear enough, and short" for each in number.tolist()],
            }
            writer.write_table(pa.table(columns, schema=schema))
    return path
