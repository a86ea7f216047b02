import sys
from pathlib import Path

# Tests and bench simulate customers alike (purchase_process).
sys.path.append(str(Path(__file__).resolve().parents[2] / "bench"))
