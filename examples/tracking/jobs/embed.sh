#!/bin/bash
#SBATCH --nodes=1 --ntasks=1 --time=10:00
#CMFD --pipeline tracking --stage job
srun cmfd-srun --pipeline tracking --stage embed -- python "$TRACKING/embed.py" "$@"
