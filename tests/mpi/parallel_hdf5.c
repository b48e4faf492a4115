/* Every rank writes its rows of one data set of one file: parallel_hdf5 FILE. */
#include <hdf5.h>
#include <mpi.h>

enum { ROWS = 5000, COLUMNS = 3 };

int main(int argc, char **argv)
{
    int rank, size;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);

    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_mpio(access, MPI_COMM_WORLD, MPI_INFO_NULL);
    hid_t file = H5Fcreate(argv[1], H5F_ACC_TRUNC, H5P_DEFAULT, access);

    hsize_t all[] = {(hsize_t)size * ROWS, COLUMNS}, mine[] = {ROWS, COLUMNS};
    hsize_t first[] = {(hsize_t)rank * ROWS, 0};
    hid_t space = H5Screate_simple(2, all, NULL), memory = H5Screate_simple(2, mine, NULL);
    hid_t set = H5Dcreate(file, "hits", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, first, NULL, mine, NULL);

    static float values[ROWS * COLUMNS];
    for (int i = 0; i < ROWS * COLUMNS; i++)
        values[i] = (float)(rank * ROWS * COLUMNS + i);
    hid_t together = H5Pcreate(H5P_DATASET_XFER);
    H5Pset_dxpl_mpio(together, H5FD_MPIO_COLLECTIVE);
    herr_t written = H5Dwrite(set, H5T_NATIVE_FLOAT, memory, space, together, values);

    H5Pclose(together);
    H5Dclose(set);
    H5Sclose(memory);
    H5Sclose(space);
    H5Fclose(file);
    H5Pclose(access);
    MPI_Finalize();
    return written < 0;
}
