#!/bin/bash
#SBATCH --nodes=2 --ntasks=2 --time=10:00
#CMFD --pipeline tracking --stage job
srun cmfd-srun --pipeline tracking --stage tracks -- python "$TRACKING/tracks.py" "$@"
