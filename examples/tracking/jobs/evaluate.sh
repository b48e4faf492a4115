#!/bin/bash
#SBATCH --nodes=1 --ntasks=1 --time=10:00
#CMFD --pipeline tracking --stage job
srun cmfd-srun --pipeline tracking --stage evaluate -- python "$TRACKING/evaluate.py" "$@"
