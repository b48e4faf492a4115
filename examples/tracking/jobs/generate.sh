#!/bin/bash
#SBATCH --nodes=2 --ntasks=4 --time=10:00
#CMFD --pipeline tracking --stage job
srun cmfd-srun --pipeline tracking --stage generate -- python "$TRACKING/generate.py" "$@"
